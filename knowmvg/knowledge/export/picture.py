"""A graph as one picture in one HTML file: no network, no library; places computed here, a few lines of script there.

Nodes lie about where a frontal radiograph shows them: the patient's left at the right, the apex above the base; the
rest is a force-directed layout (Fruchterman and Reingold, Software: Practice and Experience 1991;21:1129).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import jinja2
import numpy as np
from numpy.typing import NDArray

from knowmvg.core.records import DISCLAIMER, Side
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.knowledge.licences import licences_of

MOST_NODES = 600
WIDTH, HEIGHT, MARGIN = 1600.0, 1100.0, 60.0
_STEPS, _SEED = 150, 1
_PULL = 12.0  # of a node towards its side and level
_SPREAD = 0.9
_FREE = 0.4  # of the pull on what has no level: up and down it moves more freely
_LETTER, _LINE = 6.6, 15.0  # of a label, in units of the picture
_ACROSS = {Side.LEFT: 0.8, Side.RIGHT: 0.2}
# How far down the thorax a level of the lung lies.
_DOWN = {
    "apical": 0.08, "upper": 0.2, "upper lobe": 0.28, "mid": 0.45, "perihilar": 0.48, "middle lobe": 0.62,
    "lingula": 0.62, "lower": 0.7, "lower lobe": 0.72, "retrocardiac": 0.78, "basal": 0.86, "cardiophrenic": 0.88,
    "costophrenic": 0.95,
}  # fmt: skip
_CLASSES = {None: "midline", Side.LEFT: "left", Side.RIGHT: "right", Side.BILATERAL: "both"}


def draw_page(graph: KnowledgeGraph) -> str:
    """The HTML page. Of a graph of more than ``MOST_NODES`` it shows the nodes with most facts, and says so."""
    shown = _largest(graph)
    places = layout(shown)
    radii = [3.0 + 1.2 * math.sqrt(len(shown.neighbours(i))) for i in range(len(shown.nodes))]
    named = _labelled(shown, places, radii)
    nodes = [
        {
            "x": round(float(x), 1),
            "y": round(float(y), 1),
            "r": round(radii[i], 1),
            "class": f"{node.kind} {_CLASSES[node.side]}",
            "named": i in named,
            "before": _names_before(shown, places, radii, i),
            "node": node,
            "neighbours": [shown.nodes[j].name for j in shown.neighbours(i)],
        }
        for i, (node, (x, y)) in enumerate(zip(shown.nodes, places, strict=True))
    ]
    facts = [(shown.index[first], shown.index[second], relation) for first, relation, second in shown.triplets]
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=folder, autoescape=True, undefined=jinja2.StrictUndefined)
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
    across = [0.5 if node.side is None else _ACROSS.get(node.side, 0.5) for node in graph.nodes]
    down = [0.5 if node.zone is None else _DOWN.get(node.zone, 0.5) for node in graph.nodes]
    home = np.array([across, down]).T
    # A site pulls with all its weight, a finding half; what has no level is free to move up and down.
    kind = np.array([1.0 if node.kind == "site" else 0.5 for node in graph.nodes])
    pull = _PULL * kind[:, None] * np.array([[1.0, _FREE if node.zone is None else 1.0] for node in graph.nodes])
    places = home + draw.normal(0, 0.1, (count, 2))
    one, other = graph.adjacency()
    degree = np.maximum(np.bincount(one, minlength=count), 1)
    ideal = _SPREAD / math.sqrt(count)
    for step in range(_STEPS):
        apart = places[:, None] - places[None]
        distance = np.maximum(np.hypot(apart[..., 0], apart[..., 1]), 0.05 * ideal)
        force = (apart * (ideal / distance)[..., None] ** 2).sum(axis=1)
        along = places[other] - places[one]
        np.add.at(force, one, along * (np.hypot(*along.T) / ideal / np.sqrt(degree[one]))[:, None])
        force += pull * (home - places)
        length = np.maximum(np.hypot(*force.T), 1e-9)
        reach = 0.08 * (1 - step / _STEPS) + 1e-3
        places += force * (np.minimum(length, reach) / length)[:, None]
    # A few far nodes shall not press the others together: ranks share the room with distances.
    low, span = places.min(axis=0), np.maximum(np.ptp(places, axis=0), 1e-9)
    ranks = places.argsort(axis=0).argsort(axis=0) / max(count - 1, 1)
    share = 0.5 * (places - low) / span + 0.5 * ranks
    fitted: NDArray[np.float64] = MARGIN + share * (np.array([WIDTH, HEIGHT]) - 2 * MARGIN)
    return fitted


def _labelled(graph: KnowledgeGraph, places: NDArray[np.float64], radii: Sequence[float]) -> set[int]:
    """The nodes whose names can stand without covering one another: sites first, then findings with many facts."""
    order = sorted(
        range(len(graph.nodes)),
        key=lambda i: (graph.nodes[i].kind != "site", graph.nodes[i].name != graph.nodes[i].finding, -radii[i]),
    )
    taken: list[tuple[float, float, float, float]] = []
    named: set[int] = set()
    for i in order:
        x, y = places[i]
        length = radii[i] + _LETTER * len(graph.nodes[i].name)
        left, right = (x - length, x) if _names_before(graph, places, radii, i) else (x, x + length)
        box = (left, y - _LINE / 2, right, y + _LINE / 2)
        if all(box[0] > b[2] or b[0] > box[2] or box[1] > b[3] or b[1] > box[3] for b in taken):
            taken.append(box)
            named.add(i)
    return named


def _names_before(graph: KnowledgeGraph, places: NDArray[np.float64], radii: Sequence[float], i: int) -> bool:
    """Whether a name stands left of its node, because it would reach over the picture's right edge."""
    return bool(places[i, 0] + radii[i] + _LETTER * len(graph.nodes[i].name) >= WIDTH)


def _largest(graph: KnowledgeGraph) -> KnowledgeGraph:
    if len(graph.nodes) <= MOST_NODES:
        return graph
    order = sorted(range(len(graph.nodes)), key=lambda i: (-len(graph.neighbours(i)), -graph.nodes[i].count, i))
    return graph.only(order[:MOST_NODES])
