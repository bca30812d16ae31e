"""The adjacency by relation: what enters it, with which weight, and that its parts sum to the whole."""

from __future__ import annotations

import numpy as np
import pytest

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Phrase
from knowmvg.knowledge.adjacency import chosen_relations, relations_of, weighted_adjacency
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.graph import KnowledgeGraph, Triplet
from knowmvg.knowledge.ontology import load_atlas

TEXTS = ("small left pleural effusion", "right lower lobe consolidation", "edema")


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return build_graph([Phrase(text=text) for text in TEXTS], load_atlas())


def two_relations(graph: KnowledgeGraph) -> KnowledgeGraph:
    """Every other fact under another relation; made past the validation of a file, which may know one relation only."""
    facts = tuple(
        Triplet(f.entity, f.relation if k % 2 else "seen_at", f.site)  # type: ignore[arg-type]
        for k, f in enumerate(graph.triplets)
    )
    changed = graph.model_copy(update={"triplets": facts})
    changed.__dict__.pop("_links", None)
    return changed


def test_parts_sum_to_the_whole_of_equation_7(graph):
    for one in (graph, two_relations(graph)):
        weights = chosen_relations(one, None)
        parts = weighted_adjacency(one, weights, apart=True)
        np.testing.assert_allclose(parts.sum(axis=0), weighted_adjacency(one, weights), atol=1e-6)
        assert len(parts) == 1 + len(relations_of(one))
        np.testing.assert_allclose(parts.sum(axis=0), graph.normalised_adjacency(), atol=1e-6)
        np.testing.assert_array_equal(parts, parts.transpose(0, 2, 1))
        assert np.array_equal(parts[0] != 0, np.eye(len(graph.nodes), dtype=bool))


def test_a_weight_is_that_of_the_edge_before_normalisation(graph):
    parts = weighted_adjacency(two_relations(graph), {"located_in": 0.5, "seen_at": 2.0}, apart=True)
    root = np.sqrt(np.diagonal(parts[0]))  # D^-1/2, as the self-loops have weight 1
    edges = parts[1:] / (root[:, None] * root[None, :])
    assert set(np.unique(edges[0].round(4))) == {0.0, 0.5}
    assert set(np.unique(edges[1].round(4))) == {0.0, 2.0}
    np.testing.assert_allclose(1 / root**2, 1 + edges.sum(axis=(0, 2)), rtol=1e-4)


def test_a_relation_that_is_left_out_has_no_edge(graph):
    mixed = two_relations(graph)
    only = weighted_adjacency(mixed, chosen_relations(mixed, {"located_in": 1.0}), apart=True)
    assert len(only) == 2
    linked = {(mixed.index[f.entity], mixed.index[f.site]) for f in mixed.triplets if f.relation == "located_in"}
    assert {(i, j) for i, j in np.argwhere(only[1]).tolist() if (i, j) in linked or (j, i) not in linked} == linked


def test_a_pair_of_two_relations_has_the_sum_of_their_weights(graph):
    fact = graph.triplets[0]
    both = graph.model_copy(update={"triplets": (fact, fact._replace(relation="seen_at"))})
    one, other = both.index[fact.entity], both.index[fact.site]
    found = weighted_adjacency(both, {"located_in": 0.5, "seen_at": 2.0})
    assert found[one, other] == pytest.approx(2.5 / 3.5)
    assert weighted_adjacency(both, {"located_in": 0.5})[one, other] == pytest.approx(0.5 / 1.5)


@pytest.mark.parametrize(
    ("relations", "words"),
    [({"caused_by": 1.0}, "caused_by"), ({"located_in": 0.0}, "located_in"), ({"located_in": float("nan")}, "nan")],
)
def test_what_the_graph_does_not_have_and_odd_weights_are_refused(graph, relations, words):
    with pytest.raises(KnowledgeError, match=words):
        chosen_relations(graph, relations)
