"""The graph from training phrases with sites of UMLS: sides and zones hold, and every node says whose it is."""

import re
from pathlib import Path

import pytest

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Assertion, Phrase, Side
from knowmvg.knowledge.entities import Entity
from knowmvg.knowledge.graph import load_graph, save_graph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.knowledge.umls.graph import build_umls_graph, umls_graph_of
from knowmvg.knowledge.umls.sites import Locator

ATLAS = load_atlas()
DOCS = Path(__file__).parents[3] / "docs" / "umls.md"


def build(store, *texts):
    return build_umls_graph([Phrase(text=text) for text in texts], ATLAS, store)


def sites_of(built, entity):
    return {triplet.site for triplet in built.graph.triplets if triplet.entity == entity}


def test_entities_are_located_at_places_of_umls(release, opened):
    built = build(opened(release), "pleural effusion", "consolidation")
    assert sites_of(built, "pleural effusion") == {"Pleural cavity"}
    assert sites_of(built, "consolidation") == {"Lung"}
    assert (built.unknown, built.unplaced, built.ambiguous) == ((), (), ())


def test_every_node_of_umls_says_so(release, opened):
    graph = build(opened(release), "pleural effusion", "left pleural effusion", "cardiomegaly").graph
    nodes = {node.name: node for node in graph.nodes}
    assert nodes["Pleural cavity"].source == "UMLS 2099AA C9000011 SNOMEDCT_US"
    assert nodes["pleural effusion"].source == "UMLS 2099AA C9000001 SNOMEDCT_US, sites by NCI SNOMEDCT_US"
    own = {"cardiomegaly"}  # unknown to this release: the node is the atlas's
    assert {node.name for node in graph.nodes if node.licence == "UMLS"} == set(nodes) - own
    assert nodes["cardiomegaly"].licence == ATLAS.licence


def test_sides_choose_the_concept_or_the_site(release, opened):
    # no concept for the right: the site's right half is looked for
    built = build(opened(release), "left pleural effusion", "right pleural effusion", "bilateral pleural effusions")
    assert built.placed["left pleural effusion"].concept.cui == "C9000002"
    assert sites_of(built, "left pleural effusion") == {"Left pleural cavity"}
    assert sites_of(built, "right pleural effusion") == {"Right pleural cavity"}
    assert sites_of(built, "bilateral pleural effusion") == {"Left pleural cavity", "Right pleural cavity"}
    sides = {node.name: node.side for node in built.graph.nodes if node.kind == "site"}
    assert sides == {"Pleural cavity": None, "Left pleural cavity": Side.LEFT, "Right pleural cavity": Side.RIGHT}
    text = next(node.text for node in built.graph.nodes if node.name == "Left pleural cavity")
    assert "image right" in text


def test_a_site_of_the_other_side_is_never_taken(release, opened):
    release.relation("C9000013", "has_finding_site", "C9000001")
    built = build(opened(release), "left pleural effusion", "pleural effusion")
    assert sites_of(built, "left pleural effusion") == {"Left pleural cavity"}
    assert sites_of(built, "pleural effusion") == {"Pleural cavity", "Right pleural cavity"}


def test_zones_add_their_place_and_exclude_others(release, opened):
    release.concept("C9000018", "T023", "Upper lobe of left lung").relation("C9000018", "has_finding_site", "C9000004")
    built = build(opened(release), "left lower lobe consolidation", "left upper lobe consolidation")
    assert sites_of(built, "left lower lobe consolidation") == {"Lower lobe of left lung", "Left lung"}
    assert sites_of(built, "left upper lobe consolidation") == {"Upper lobe of left lung", "Left lung"}
    zones = {node.name: node.zone for node in built.graph.nodes if node.kind == "site"}
    assert zones["Lower lobe of left lung"] == "lower lobe"


def test_a_body_part_of_the_same_wording_is_no_finding(release, opened):
    release.concept("C9000040", "T023", "Nodule").concept("C9000041", "T033", "Nodules")
    release.relation("C9000014", "has_finding_site", "C9000041")
    release.relation("C9000017", "has_finding_site", "C9000040")
    built = build(opened(release), "nodule")
    assert built.placed["nodule"].concept.cui == "C9000041"


def test_a_short_wording_means_its_finding(release, opened):
    release.concept("C9000049", "T046", "Effusion").relation("C9000017", "has_finding_site", "C9000049")
    built = build(opened(release), "effusion")
    assert sites_of(built, "effusion") == sites_of(built, "pleural effusion") == {"Pleural cavity"}


def test_of_several_concepts_the_first_with_a_site_counts(release, opened):
    release.concept("C9000042", "T033", "Nodule")
    release.type("C9000043", "T047").name("C9000043", "Nodule", sab="NCI").relation(
        "C9000014", "has_finding_site", "C9000043"
    )
    built = build(opened(release), "nodule", "pleural effusion")
    assert built.placed["nodule"].concept.cui == "C9000043"
    assert built.ambiguous == ("nodule",)


def test_shared_names_get_their_cui(release, opened):
    release.concept("C9000044", "T023", "Pleural cavity").relation("C9000044", "has_finding_site", "C9000001")
    release.concept("C9000045", "T023", "consolidation").relation("C9000045", "has_finding_site", "C9000003")
    built = build(opened(release), "pleural effusion", "consolidation")
    assert sites_of(built, "pleural effusion") == {"Pleural cavity (C9000011)", "Pleural cavity (C9000044)"}
    assert sites_of(built, "consolidation") == {"consolidation (C9000045)"}


def test_definitions_of_the_atlas_words_locate(release, opened):
    release.concept("C9000046", "T047", "Pneumothorax").definition("C9000046", "Air outside the lungs.")
    built = build(opened(release), "pneumothorax", "mass")
    assert sites_of(built, "pneumothorax") == {"Lung"}
    assert "mass" in built.unknown


def test_order_of_phrases_and_repetition_do_not_matter(release, opened, tmp_path):
    store = opened(release)
    texts = ["left pleural effusion", "consolidation", "cardiomegaly", "right lower lobe consolidation"]
    graph = build(store, *texts).graph
    assert build(store, *reversed(texts)).graph == graph
    (tmp_path / ".knowmvg-private").touch()  # licensed content is written into such a folder only
    save_graph(graph, tmp_path / "graph.json")
    assert load_graph(tmp_path / "graph.json") == graph
    assert graph.related(Phrase(text="left pleural effusion"))


def test_entities_of_a_finding_that_the_atlas_lacks_and_graphs_too_large(release, opened, monkeypatch):
    store = opened(release)
    with pytest.raises(KnowledgeError, match="'blorbitis'"):
        umls_graph_of({"blorbitis": Entity("blorbitis", "blorbitis")}, ATLAS, store)
    monkeypatch.setattr("knowmvg.knowledge.umls.graph.MAX_NODES", 1)
    told, entity = [], Entity("pleural effusion", "pleural effusion")
    with pytest.raises(KnowledgeError, match="at most 1 nodes"):
        umls_graph_of({entity.text: entity}, ATLAS, store, progress=told.append)
    assert told == [1]


def test_denied_findings_and_empty_splits(release, opened):
    store = opened(release)
    denied = Phrase(text="pleural effusion", assertion=Assertion.ABSENT)
    with pytest.raises(KnowledgeError, match="training phrases"):
        build_umls_graph([denied], ATLAS, store)
    with pytest.raises(KnowledgeError, match="none of 1"):
        build(store, "cardiomegaly")


def test_the_example_of_the_docs_runs(release, opened, tmp_path, monkeypatch, capsys):
    store = opened(release)
    (tmp_path / "umls-0.sqlite").rename(tmp_path / "umls.sqlite")
    assert store.release == "2099AA"
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(DOCS), "exec"), {"training_phrases": [Phrase(text="pleural effusion")]})
    assert "Pleural cavity: A gap between two layers." in capsys.readouterr().out


def test_the_seam_alone(release, opened):
    locator = Locator(opened(release), ATLAS)
    entity = build(opened(release), "pleural effusion").placed["pleural effusion"].entity
    assert [site.located.cui for site in locator.locate(entity).sites] == ["C9000011"]
