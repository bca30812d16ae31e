"""Graph controls: the shape stays, the facts or the words do not."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.records import Phrase, Side
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.controls import permuted_texts, random_graph
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.knowledge.ontology import load_atlas

ATLAS = load_atlas()
FINDINGS = sorted(ATLAS.finding)
GRAPH = build_graph([Phrase(text=name, side=side) for name in FINDINGS for side in (Side.LEFT, Side.RIGHT)], ATLAS)
SEEDS = st.integers(0, 2**32 - 1)


def degrees(graph):
    return Counter(name for fact in graph.triplets for name in (fact.entity, fact.site))


@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_a_random_graph_keeps_nodes_and_degrees(seed):
    mixed = random_graph(GRAPH, seed)
    assert mixed.nodes == GRAPH.nodes
    assert degrees(mixed) == degrees(GRAPH)
    assert mixed.adjacency().shape == GRAPH.adjacency().shape
    # It is a graph that a file may hold: sorted, and entities at sites.
    assert KnowledgeGraph.model_validate_json(mixed.model_dump_json(by_alias=True)) == mixed
    assert mixed.triplets == tuple(sorted(set(mixed.triplets)))


def test_a_random_graph_forgets_the_facts():
    mixed = random_graph(GRAPH, 3)
    shared = len(set(mixed.triplets) & set(GRAPH.triplets)) / len(GRAPH.triplets)
    count = degrees(GRAPH)
    # The share that independent draws with these degrees would leave in place.
    expected = sum(count[fact.entity] * count[fact.site] for fact in GRAPH.triplets) / len(GRAPH.triplets) ** 2
    assert shared < 2 * expected + 0.05


@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_permuted_texts_leave_no_text_in_place(seed):
    dealt = permuted_texts(GRAPH, seed)
    assert sorted(dealt.texts) == sorted(GRAPH.texts)
    assert all(one != other for one, other in zip(dealt.texts, GRAPH.texts, strict=True))
    assert dealt.triplets == GRAPH.triplets
    assert [node.name for node in dealt.nodes] == [node.name for node in GRAPH.nodes]
    np.testing.assert_array_equal(dealt.adjacency(), GRAPH.adjacency())


@pytest.mark.parametrize("control", [random_graph, permuted_texts])
def test_controls_are_seeded_and_pure(control):
    before = GRAPH.model_dump_json()
    assert control(GRAPH, 7) == control(GRAPH, 7)
    assert control(GRAPH, 7) != control(GRAPH, 8)
    assert GRAPH.model_dump_json() == before


def test_what_cannot_be_changed_stays():
    lone = GRAPH.only([next(i for i, node in enumerate(GRAPH.nodes) if node.kind == "site")])
    assert permuted_texts(lone, 1) == lone
    assert random_graph(lone, 1) == lone
    one, other = GRAPH.index["left pneumothorax"], GRAPH.neighbours(GRAPH.index["left pneumothorax"])[0]
    assert random_graph(GRAPH.only([one, other]), 1) == GRAPH.only([one, other])


def test_caches_of_the_graph_are_not_carried_over():
    assert GRAPH.neighbours(0)
    mixed = random_graph(GRAPH, 5)
    around = {GRAPH.index[fact.site] for fact in mixed.triplets if fact.entity == GRAPH.nodes[0].name}
    assert set(mixed.neighbours(0)) == around


def test_relations_are_exchanged_apart():
    phrases = [Phrase(text=name) for name in FINDINGS]
    full = build_graph(phrases, ATLAS, relations=("located_in", "part_of", "is_a"))
    mixed = random_graph(full, 2)
    assert Counter(fact.relation for fact in mixed.triplets) == Counter(fact.relation for fact in full.triplets)
    assert degrees(mixed) == degrees(full)
    assert all(fact.entity != fact.site for fact in mixed.triplets)
