"""The graph: equations 4, 5 and 7 by hand, files, and what is related to a phrase."""

import json
from pathlib import Path

import networkx
import numpy as np
import pytest

import knowmvg
from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Phrase, Side
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.graph import KnowledgeGraph, Node, Triplet, load_graph, save_graph, to_networkx
from knowmvg.knowledge.ontology import load_atlas

ATLAS = load_atlas()
PHRASES = [
    Phrase(text="left pleural effusion"),
    Phrase(text="right pleural effusion"),
    Phrase(text="bilateral pleural effusions"),
    Phrase(text="right upper lobe consolidation"),
    Phrase(text="left basilar consolidation"),
    Phrase(text="cardiomegaly"),
]


@pytest.fixture(scope="module")
def graph():
    return build_graph(PHRASES, ATLAS)


def three_nodes():
    """``effusion`` located in two sites: a path of three nodes with the entity in the middle."""
    common = {"source": "a book", "licence": "Apache-2.0"}
    nodes = (
        Node(name="effusion", text="effusion: fluid", kind="entity", finding="pleural effusion", **common),
        Node(name="left angle", text="left angle", kind="site", side=Side.LEFT, **common),
        Node(name="right angle", text="right angle", kind="site", side=Side.RIGHT, **common),
    )
    triplets = tuple(Triplet("effusion", "located_in", site.name) for site in nodes[1:])
    return KnowledgeGraph(nodes=nodes, triplets=triplets, vocabulary=ATLAS.vocabulary)


def test_adjacency_by_hand():
    assert three_nodes().adjacency().tolist() == [[0, 0, 1, 2], [1, 2, 0, 0]]


def test_normalised_adjacency_by_hand():
    # Degrees with self-loops are 3, 2, 2.
    side = 1 / np.sqrt(6)
    expected = [[1 / 3, side, side], [side, 1 / 2, 0], [side, 0, 1 / 2]]
    normalised = three_nodes().normalised_adjacency()
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised, expected, rtol=1e-6)


def test_normalised_adjacency_is_the_dense_formula(graph):
    count = len(graph.nodes)
    dense = np.zeros((count, count))
    for entity, _, site in graph.triplets:
        dense[graph.index[entity], graph.index[site]] = dense[graph.index[site], graph.index[entity]] = 1
    looped = dense + np.identity(count)
    root = np.linalg.inv(np.sqrt(np.diag(looped.sum(axis=1))))
    np.testing.assert_allclose(graph.normalised_adjacency(), root @ looped @ root, atol=1e-6)
    assert np.abs(np.linalg.eigvalsh(graph.normalised_adjacency())).max() <= 1 + 1e-5


def test_adjacency_is_symmetric_sorted_and_without_loops(graph):
    pairs = [tuple(pair) for pair in graph.adjacency().T.tolist()]
    assert pairs == sorted(set(pairs))
    assert all((other, one) in set(pairs) and one != other for one, other in pairs)
    assert len(pairs) == 2 * len(graph.triplets)


def test_a_graph_without_triplets_is_the_identity():
    alone = KnowledgeGraph(nodes=three_nodes().nodes[1:], triplets=(), vocabulary=ATLAS.vocabulary)
    assert alone.adjacency().shape == (2, 0)
    np.testing.assert_array_equal(alone.normalised_adjacency(), np.eye(2))


def test_neighbours_are_the_rows_of_the_adjacency(graph):
    adjacent = graph.normalised_adjacency() > 0
    for i in range(len(graph.nodes)):
        assert set(graph.neighbours(i)) | {i} == set(np.flatnonzero(adjacent[i]))
    with pytest.raises(IndexError):
        graph.neighbours(len(graph.nodes))


def names(graph, phrase):
    return {graph.nodes[i].name for i in graph.related(phrase)}


def test_related_keeps_to_the_finding_and_the_side(graph):
    assert names(graph, Phrase(text="tiny left effusion")) == {
        "pleural effusion", "left pleural effusion", "left costophrenic angle", "left pleural space",
        "left lower zone", "left lung base",
    }  # fmt: skip


def test_related_without_a_side_or_on_both_excludes_no_side(graph):
    both = names(graph, Phrase(text="bilateral effusions"))
    assert {"left pleural effusion", "right pleural effusion", "bilateral pleural effusion"} <= both
    assert names(graph, Phrase(text="effusion")) == both


def test_related_keeps_to_the_zone(graph):
    upper = names(graph, Phrase(text="right apical consolidation"))
    assert "right upper lobe consolidation" in upper
    assert "right lower lobe" not in upper
    assert not {name for name in upper if name.startswith("left") or "bas" in name}


def test_nothing_is_related_to_an_unknown_or_unseen_finding(graph):
    assert graph.related(Phrase(text="whatnot")) == set()
    assert graph.related(Phrase(text="scoliosis")) == set()


def test_a_more_general_finding_stands_in_where_the_graph_has_no_other():
    graph = build_graph([Phrase(text="left fracture")], ATLAS)
    assert "left fracture" in names(graph, Phrase(text="left rib fracture"))
    both = build_graph([Phrase(text="left fracture"), Phrase(text="left rib fracture")], ATLAS)
    assert "left fracture" not in names(both, Phrase(text="left rib fracture"))


def test_round_trip(graph, tmp_path):
    path = tmp_path / "graph.json"
    save_graph(graph, path)
    again = load_graph(path)
    assert again == graph
    assert again.related(PHRASES[0]) == graph.related(PHRASES[0])
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == "knowmvg.graph/1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["graph.json"]


def test_a_write_that_fails_leaves_the_old_file(graph, tmp_path, monkeypatch):
    path = tmp_path / "graph.json"
    path.write_text("old", encoding="utf-8")

    def refuse(*_):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(KnowledgeError, match="no space"):
        save_graph(graph, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["graph.json"]
    assert path.read_text(encoding="utf-8") == "old"


def test_a_place_that_cannot_be_written_is_an_error(graph, tmp_path):
    with pytest.raises(KnowledgeError, match="No such file"):
        save_graph(graph, tmp_path / "nowhere" / "graph.json")


def _rename_site(raw):
    raw["triplets"][0][2] = "nowhere"


def _repeat_node(raw):
    raw["nodes"].append(raw["nodes"][0])


def _older(raw):
    raw["schema"] = "knowmvg.graph/0"


def _swap(raw):
    raw["triplets"][0] = raw["triplets"][0][::-1]


def _empty(raw):
    raw["nodes"], raw["triplets"] = [], []


def _zone(raw):
    raw["nodes"][0]["zone"] = "somewhere"


def _unlabelled(raw):
    raw["nodes"][0]["finding"] = None


@pytest.mark.parametrize("spoil", [_rename_site, _repeat_node, _older, _swap, _empty, _zone, _unlabelled])
def test_a_file_whose_facts_do_not_fit_is_refused(graph, tmp_path, spoil):
    path = tmp_path / "graph.json"
    raw = json.loads(graph.model_dump_json(by_alias=True))
    spoil(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"knowmvg\.graph/1"):
        load_graph(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\x80\x04K\x01.", b"\xff"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "graph.json"
    path.write_bytes(content)
    with pytest.raises(KnowledgeError):
        load_graph(path)
    with pytest.raises(KnowledgeError, match="No such file"):
        load_graph(tmp_path / "none.json")


def test_networkx(graph):
    exported = to_networkx(graph)
    assert list(exported) == [node.name for node in graph.nodes]
    assert exported.nodes["left pleural space"]["side"] == "left"
    np.testing.assert_array_equal(
        networkx.to_numpy_array(exported.to_undirected(), nodelist=list(exported)) > 0,
        (graph.normalised_adjacency() > 0) & ~np.eye(len(graph.nodes), dtype=bool),
    )


def test_relations_join_what_they_should(graph):
    def with_fact(*fact):
        triplets = (*graph.triplets, Triplet(*fact))
        return KnowledgeGraph(nodes=graph.nodes, triplets=triplets, vocabulary=graph.vocabulary)

    more = with_fact("left pleural effusion", "is_a", "pleural effusion")
    assert more.index["pleural effusion"] in more.neighbours(more.index["left pleural effusion"])
    for wrong in (
        ("left pleural effusion", "is_a", "left pleural space"),
        ("left pleural effusion", "part_of", "left pleural space"),
        ("left pleural space", "part_of", "pleural effusion"),
        ("left pleural space", "located_in", "left pleural space"),
    ):
        with pytest.raises(ValueError, match=wrong[1]):
            with_fact(*wrong)
    with pytest.raises(ValueError, match="literal_error"):
        with_fact("left pleural effusion", "causes", "left pleural space")


def test_a_graph_that_an_earlier_version_wrote_still_loads():
    demo = load_graph(Path(knowmvg.__file__).parent / "models" / "demo" / "knowledge.json")
    assert {fact.relation for fact in demo.triplets} == {"located_in"}
    assert demo.related(Phrase(text="left pleural effusion"))
