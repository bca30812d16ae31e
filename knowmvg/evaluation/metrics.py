"""How well boxes agree: numbers for one phrase. Boxes are float xyxy in one frame, ``[n, 4]``.

``acc@t`` of the tables is the share of phrases with ``phrase_iou >= t``. The papers of this lineage print it as AP10,
AP30 and AP50; it is an accuracy, not an average precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from knowmvg.core.boxes import FloatArray, as_boxes, pairwise_iou

THRESHOLDS = (0.1, 0.3, 0.5)
THRESHOLD_NAMES = tuple(f"{t:g}" for t in THRESHOLDS)


def matched_iou(predicted: ArrayLike, reference: ArrayLike) -> FloatArray:
    """IoU of each reference box ``[m]`` with its partner in the one-to-one matching of the greatest total IoU.

    A reference box without a partner has 0 (Kuhn 1955, as ``scipy.optimize.linear_sum_assignment``).
    """
    overlaps = np.minimum(pairwise_iou(predicted, reference), 1.0)  # rounding may leave nearly equal boxes above 1
    found = np.zeros(overlaps.shape[1])
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    found[columns] = overlaps[rows, columns]
    return found


def phrase_iou(predicted: ArrayLike, reference: ArrayLike) -> float:
    """Sum of the matched IoU over the greater number of boxes: missing and surplus boxes both cost.

    For one box and one reference this is the box IoU. Raises ``ValueError`` without a reference box: such a phrase has
    nothing to be scored against.
    """
    n_predicted, n_reference = len(as_boxes(predicted)), len(as_boxes(reference))
    if n_reference == 0:
        raise ValueError("expected at least one reference box, got none")
    return float(matched_iou(predicted, reference).sum() / max(n_predicted, n_reference))


def union_iou(predicted: ArrayLike, reference: ArrayLike) -> float:
    """IoU of the areas that the two sets of boxes cover together, exact (no raster); two empty areas give 0."""
    first, second = as_boxes(predicted), as_boxes(reference)
    cells, xs, ys = _cells(np.concatenate([first, second]))
    a, b = _covered(first, xs, ys), _covered(second, xs, ys)
    union = float(cells[a | b].sum())
    return float(cells[a & b].sum()) / union if union > 0 else 0.0


def covered_area(boxes: ArrayLike) -> float:
    """Area that the boxes cover together, in square pixels; what two boxes share counts once."""
    array = as_boxes(boxes)
    cells, xs, ys = _cells(array)
    return float(cells[_covered(array, xs, ys)].sum())


def _cells(boxes: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The grid that the boxes' edges cut: areas ``[rows, columns]`` and the edges in x and in y."""
    xs, ys = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
    return np.outer(np.diff(ys), np.diff(xs)), xs, ys


def _covered(boxes: FloatArray, xs: FloatArray, ys: FloatArray) -> NDArray[np.bool_]:
    """Which cells of the grid lie in any of the boxes, ``[rows, columns]``."""
    left, top = xs[None, :-1], ys[None, :-1]
    in_x = (left >= boxes[:, 0:1]) & (left < boxes[:, 2:3])
    in_y = (top >= boxes[:, 1:2]) & (top < boxes[:, 3:4])
    return np.asarray((in_y[:, :, None] & in_x[:, None, :]).any(axis=0), dtype=np.bool_)
