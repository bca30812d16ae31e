"""From phrases to the graph: deterministic, complete and with sides kept apart."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Assertion, Phrase, Side
from knowmvg.knowledge.build import build_graph, locations
from knowmvg.knowledge.entities import Entity
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.knowledge.vocabulary import words_of
from knowmvg.sources.phantom.scene import FINDINGS, ZONES

ATLAS = load_atlas()
EVERYWHERE = [
    Phrase(text=finding, finding=finding, side=side, zone=zone)
    for finding, side, zone in itertools.product(ATLAS.finding, [None, *Side], [None, *ZONES])
]


@pytest.fixture(scope="module")
def graph():
    return build_graph(EVERYWHERE, ATLAS)


def test_targets_exist_and_every_entity_has_one(graph):
    kinds = {node.name: node.kind for node in graph.nodes}
    assert all(kinds[entity] == "entity" and kinds[site] == "site" for entity, _, site in graph.triplets)
    assert {name for name, kind in kinds.items() if kind == "entity"} == {entity for entity, _, _ in graph.triplets}
    assert {name for name, kind in kinds.items() if kind == "site"} == {site for _, _, site in graph.triplets}


def test_an_entity_on_one_side_never_touches_the_other(graph):
    for node in graph.nodes:
        if node.kind == "entity" and node.side in (Side.LEFT, Side.RIGHT):
            sides = {graph.nodes[i].side for i in graph.neighbours(graph.index[node.name])}
            assert sides <= {node.side, None}, node.name
            assert node.side in sides, node.name
            other = Side.RIGHT if node.side == Side.LEFT else Side.LEFT
            # The chambers of the heart are midline structures in spite of their names.
            assert str(other) not in words_of(re.sub(r"(left|right) (atri|ventric)\w+", "", node.text)), node.text


def test_simulated_findings_are_all_in(graph):
    assert set(FINDINGS) <= set(graph.index)


def test_texts_name_the_place(graph):
    texts = dict(zip((node.name for node in graph.nodes), graph.texts, strict=True))
    assert "left costophrenic angle" in texts["left pleural effusion"]
    assert "(patient's left, image right)" in texts["left costophrenic angle"]
    assert len(set(graph.texts)) == len(graph.texts)
    assert max(len(text.split()) for text in graph.texts) < 60


def test_every_node_has_source_and_licence(graph):
    assert all(node.source and node.licence == "Apache-2.0" for node in graph.nodes)


def test_locations_of_a_zone():
    entity = Entity("right lower lobe consolidation", "consolidation", Side.RIGHT, "lower lobe")
    assert locations(entity, ATLAS) == ("right lower lobe", "right lung")
    apical = Entity("left apical pneumothorax", "pneumothorax", Side.LEFT, "apical")
    assert locations(apical, ATLAS) == ("left lung apex", "left pleural space", "left apical pleura")


@settings(max_examples=15, deadline=None)
@given(st.permutations(EVERYWHERE[:60]))
def test_the_order_of_the_phrases_does_not_matter(phrases):
    assert build_graph(phrases, ATLAS) == build_graph(EVERYWHERE[:60], ATLAS)


@pytest.mark.parametrize("phrases", [[], [Phrase(text="whatnot")], [Phrase(text="nodule", assertion=Assertion.ABSENT)]])
def test_no_entity_is_an_error(phrases):
    with pytest.raises(KnowledgeError, match="at least one present finding"):
        build_graph(phrases, ATLAS)


def test_another_extractor_can_be_given():
    graph = build_graph([], ATLAS, extract=lambda *_: {"blob": Entity("blob", "mass", Side.LEFT)})
    assert graph.nodes[0].name == "blob"
    with pytest.raises(KnowledgeError, match="whatnot"):
        build_graph([], ATLAS, extract=lambda *_: {"blob": Entity("blob", "whatnot")})


def test_relations_beyond_the_paper():
    phrases = [Phrase(text="left rib fracture"), Phrase(text="left lower lobe consolidation")]
    paper = build_graph(phrases, ATLAS)
    assert {fact.relation for fact in paper.triplets} == {"located_in"}
    full = build_graph(phrases, ATLAS, relations=("located_in", "part_of", "is_a"))
    assert set(paper.triplets) <= set(full.triplets)
    assert ("left ribs", "part_of", "left chest wall") in full.triplets
    assert ("left chest wall", "part_of", "chest wall") in full.triplets
    assert ("chest wall", "part_of", "thorax") in full.triplets
    # A located entity is a kind of its finding, a finding of the more general one, which no phrase named.
    assert ("left rib fracture", "is_a", "rib fracture") in full.triplets
    assert ("rib fracture", "is_a", "fracture") in full.triplets
    assert full.nodes[full.index["fracture"]].count == 0
    assert ("consolidation", "is_a", "lung opacity") in full.triplets
    tree = build_graph(phrases, ATLAS, relations=("part_of",))
    assert {fact.relation for fact in tree.triplets} == {"part_of"}
    blob = build_graph([], ATLAS, extract=lambda *_: {"blob": Entity("blob", "mass")}, relations=("is_a",))
    assert ("blob", "is_a", "mass") in blob.triplets


def test_a_graph_that_grows_too_large_says_what_to_do(monkeypatch):
    monkeypatch.setattr("knowmvg.knowledge.build.MAX_NODES", 3)
    with pytest.raises(KnowledgeError, match="--min-count"):
        build_graph([Phrase(text="left pleural effusion")], ATLAS)
