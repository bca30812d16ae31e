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


def weighted_adjacency(
    graph: KnowledgeGraph, weights: Mapping[str, float], *, apart: bool = False
) -> NDArray[np.float32]:
    """``D^-1/2 (A + I) D^-1/2`` of equation 7 with the edges of some relations, which have their weights in ``A``.

    Every edge counts in both directions; a pair that several relations join has the sum of their weights. ``D`` holds
    the row sums.

    Returns:
        ``[N, N]``; or, where relations stand ``apart``, ``[1 + R, N, N]`` with the self-loops, then one relation each
        in the order of their names, which sum to the whole.
    """
    names, size = sorted(weights), len(graph.nodes)
    cells = {(0, node, node) for node in range(size)}
    for first, relation, second in graph.triplets:
        if relation in weights:
            place, one, other = 1 + names.index(relation), graph.index[first], graph.index[second]
            cells |= {(place, one, other), (place, other, one)}
    places, rows, columns = np.array(sorted(cells), dtype=np.int64).T
    values = np.array([1.0, *(weights[name] for name in names)])[places]
    scale = 1.0 / np.sqrt(np.bincount(rows, weights=values, minlength=size))
    parts: NDArray[np.float32] = np.zeros((1 + len(names) if apart else 1, size, size), dtype=np.float32)
    np.add.at(parts, (places if apart else np.zeros_like(places), rows, columns), values * scale[rows] * scale[columns])
    return parts if apart else parts[0]
