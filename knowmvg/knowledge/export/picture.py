"""A graph as one picture in one HTML file: no network, no library; places computed here, a few lines of script there.

Sites lie where they are on a frontal radiograph as far as their side says so (the patient's left at the right), findings
around them by a force-directed layout (Fruchterman and Reingold, Software: Practice and Experience 1991;21:1129).
"""

from __future__ import annotations

from pathlib import Path

import jinja2
import numpy as np
from numpy.typing import NDArray

from knowmvg.core.records import DISCLAIMER, Side
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.knowledge.licences import licences_of

MOST_NODES = 600
WIDTH, HEIGHT, MARGIN = 1600.0, 1100.0, 60.0
_STEPS, _SEED = 120, 1
_PULL = 0.35  # of a side's nodes towards their side of the picture
_CLASSES = {None: "midline", Side.LEFT: "left", Side.RIGHT: "right", Side.BILATERAL: "both"}


def draw_page(graph: KnowledgeGraph) -> str:
    """The HTML page. Of a graph of more than ``MOST_NODES`` it shows the nodes with most facts, and says so."""
    shown = _largest(graph)
    places = layout(shown)
    degrees = np.array([len(shown.neighbours(i)) for i in range(len(shown.nodes))])
    nodes = [
        {
            "x": round(float(x), 1),
            "y": round(float(y), 1),
            "r": round(3.0 + 1.4 * float(np.sqrt(degree)), 1),
            "class": f"{node.kind} {_CLASSES[node.side]}",
            "named": degree >= np.quantile(degrees, 0.85),
            "node": node,
            "neighbours": [shown.nodes[j].name for j in shown.neighbours(i)],
        }
        for i, (node, (x, y), degree) in enumerate(zip(shown.nodes, places, degrees, strict=True))
    ]
    facts = [(shown.index[first], shown.index[second], relation) for first, relation, second in shown.triplets]
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("picture.html").render(
        nodes=nodes,
        facts=facts,
        width=WIDTH,
        height=HEIGHT,
        total=len(graph.nodes),
        total_facts=len(graph.triplets),
        licences=licences_of(graph),
        disclaimer=DISCLAIMER,
    )


def layout(graph: KnowledgeGraph) -> NDArray[np.float64]:
    """Places ``[N, 2]`` (x, y) of the nodes in a picture of ``WIDTH`` x ``HEIGHT``; equal graphs get equal places."""
    count = len(graph.nodes)
    draw = np.random.default_rng(_SEED)
    home = np.array([{Side.LEFT: 0.8, Side.RIGHT: 0.2}.get(node.side, 0.5) for node in graph.nodes])  # type: ignore[arg-type]
    places = np.stack([home + draw.normal(0, 0.08, count), draw.random(count)], axis=1)
    edges = graph.adjacency()
    ideal = 1.0 / np.sqrt(max(count, 1))
    for step in range(_STEPS):
        apart = places[:, None] - places[None]
        distance = np.maximum(np.hypot(apart[..., 0], apart[..., 1]), 0.01 * ideal)
        force = (apart * (ideal / distance)[..., None] ** 2).sum(axis=1)
        if edges.size:
            along = places[edges[1]] - places[edges[0]]
            np.add.at(force, edges[0], along * (np.hypot(*along.T) / ideal)[:, None] * 0.25)
        force[:, 0] += _PULL * (home - places[:, 0])
        force[:, 1] += _PULL * (0.5 - places[:, 1])
        length = np.maximum(np.hypot(*force.T), 1e-9)
        reach = 0.1 * (1 - step / _STEPS) + 1e-3
        places += force * (np.minimum(length, reach) / length)[:, None]
    low, span = places.min(axis=0), np.maximum(np.ptp(places, axis=0), 1e-9)
    size = np.array([WIDTH, HEIGHT])
    fitted: NDArray[np.float64] = MARGIN + (places - low) / span * (size - 2 * MARGIN)
    return fitted


def _largest(graph: KnowledgeGraph) -> KnowledgeGraph:
    if len(graph.nodes) <= MOST_NODES:
        return graph
    order = sorted(range(len(graph.nodes)), key=lambda i: (-len(graph.neighbours(i)), -graph.nodes[i].count, i))
    return graph.only(order[:MOST_NODES])
