"""The adjacency of a graph by relation: which relations enter equation 5, with which weight, together or apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.graph import KnowledgeGraph


def relations_of(graph: KnowledgeGraph) -> tuple[str, ...]:
    """The relations that occur in the graph, by name."""
    return tuple(sorted({str(relation) for _, relation, _ in graph.triplets}))


def chosen_relations(graph: KnowledgeGraph, relations: Mapping[str, float] | None) -> dict[str, float]:
    """The weights of the relations that enter the adjacency; ``None`` is every relation of the graph with weight 1.

    Raises:
        KnowledgeError: a relation that the graph does not have, or a weight that is not positive and finite.
    """
    known = relations_of(graph)
    if relations is None:
        return dict.fromkeys(known, 1.0)
    unknown = sorted(set(relations) - set(known))
    if unknown:
        has = ", ".join(known) or "none"
        raise KnowledgeError(
            f"relations of the graph ({has})", repr(unknown[0]), "Correct variant.knowledge.relations."
        )
    wrong = [name for name, weight in relations.items() if not (np.isfinite(weight) and weight > 0)]
    if wrong:
        todo = "Leave a relation out to give it no weight."
        raise KnowledgeError("positive, finite weights of relations", f"{relations[wrong[0]]} for {wrong[0]!r}", todo)
    return dict(relations)


def weighted_adjacency(graph: KnowledgeGraph, weights: Mapping[str, float]) -> NDArray[np.float32]:
    """``D^-1/2 (A + I) D^-1/2`` of equation 7 in parts by relation, ``[1 + R, N, N]``, which sum to the whole.

    The first part holds the self-loops, the others one relation each, in the order of their names. Every edge counts
    in both directions and has its relation's weight in ``A``; relations without a weight stay out. ``D`` holds the row
    sums over all parts.
    """
    names = sorted(weights)
    size = len(graph.nodes)
    parts = np.zeros((1 + len(names), size, size))
    parts[0] = np.eye(size)
    for entity, relation, site in graph.triplets:
        if relation in weights:
            one, other = graph.index[entity], graph.index[site]
            place = 1 + names.index(relation)
            parts[place, one, other] = parts[place, other, one] = weights[relation]
    scale = 1.0 / np.sqrt(parts.sum(axis=(0, 2)))
    normalised: NDArray[np.float32] = (parts * scale[:, None] * scale[None, :]).astype(np.float32)
    return normalised
