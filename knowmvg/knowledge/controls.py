"""Controls for the knowledge graph: what a model scores when its facts, or its words, are wrong on purpose.

A model that gains as much from ``random_graph`` as from the real one uses the shape of the graph and not its facts; one
that gains as much from ``permuted_texts`` does not use what the nodes say. Both keep everything else equal, so that
parameters, prompts and cost do not change.
"""

from __future__ import annotations

import numpy as np

from knowmvg.knowledge.graph import KnowledgeGraph, Node, Triplet

SWAPS_A_FACT = 10
"""Swaps tried for each fact; Milo et al. (arXiv cond-mat/0312028) find about this many enough to forget the start."""


def random_graph(graph: KnowledgeGraph, seed: int) -> KnowledgeGraph:
    """The nodes of ``graph`` with random facts: every node keeps its number of facts of each relation.

    Pairs of facts of one relation exchange their targets again and again, which is the standard null model of a graph
    with given degrees; where no exchange is possible (a single fact, or every entity at every site) the facts stay.
    Node texts are left as they are and go on naming the true sites: combine with ``permuted_texts`` to take both away.

    Returns an equal graph for an equal ``seed``; ``graph`` itself is not changed.
    """
    draw = np.random.default_rng(seed)
    facts: list[Triplet] = []
    for relation in sorted({fact.relation for fact in graph.triplets}):
        facts += _exchanged(sorted(fact for fact in graph.triplets if fact.relation == relation), draw)
    return _rebuilt(graph, graph.nodes, tuple(sorted(facts)))


def permuted_texts(graph: KnowledgeGraph, seed: int) -> KnowledgeGraph:
    """The graph with the node texts dealt out anew, one a node and none to its own node; names and facts stay.

    A random cycle through all nodes (Sattolo, Information Processing Letters 1986;22:315) leaves nothing in place; a
    graph of one node stays as it is. Returns an equal graph for an equal ``seed``; ``graph`` itself is not changed.
    """
    draw = np.random.default_rng(seed)
    order = list(range(len(graph.nodes)))
    for last in range(len(order) - 1, 0, -1):
        other = int(draw.integers(last))
        order[last], order[other] = order[other], order[last]
    texts = graph.texts
    dealt = (node.model_copy(update={"text": texts[i]}) for node, i in zip(graph.nodes, order, strict=True))
    return _rebuilt(graph, tuple(dealt), graph.triplets)


def _rebuilt(graph: KnowledgeGraph, nodes: tuple[Node, ...], triplets: tuple[Triplet, ...]) -> KnowledgeGraph:
    # Not model_copy: it carries the cached links of the old facts along.
    return KnowledgeGraph(schema=graph.schema_, nodes=nodes, triplets=triplets, vocabulary=graph.vocabulary)


def _exchanged(facts: list[Triplet], draw: np.random.Generator) -> list[Triplet]:
    """``facts`` of one relation after random exchanges of targets that repeat no fact and link no node to itself."""
    known = set(facts)
    for one, other in draw.integers(len(facts), size=(SWAPS_A_FACT * len(facts), 2)).tolist():
        first, second = facts[one], facts[other]
        crossed = first._replace(site=second.site), second._replace(site=first.site)
        if known.isdisjoint(crossed) and all(fact.entity != fact.site for fact in crossed):
            known -= {first, second}
            known |= set(crossed)
            facts[one], facts[other] = crossed
    return facts
