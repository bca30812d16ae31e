"""How well boxes agree. Boxes are float xyxy in one frame; a phrase has 0 to n predicted and 1 to n reference boxes.

Functions in the singular score one phrase (boxes ``[n, 4]``), those in the plural many at once (``BoxSets``).
docs/metrics.md defines each metric.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmvg.core.boxes import FloatArray, as_boxes, broadcast_iou, iou, pairwise_iou
from knowmvg.evaluation.metrics.assignment import matched
from knowmvg.evaluation.metrics.box_sets import BoxSets, score_sets


def matched_iou(predicted: ArrayLike, reference: ArrayLike) -> FloatArray:
    """IoU of each reference box ``[m]`` with its partner in the one-to-one matching of the greatest total IoU.

    A reference box without a partner has 0.
    """
    found: FloatArray = matched(_overlaps(pairwise_iou(predicted, reference))[None])[0]
    return found


def phrase_iou(predicted: ArrayLike, reference: ArrayLike) -> float:
    """Sum of the matched IoU over the greater number of boxes: missing and surplus boxes both cost.

    For one box and one reference this is the box IoU. Raises ``ValueError`` without a reference box: such a phrase has
    nothing to be scored against.
    """
    first, second = as_boxes(predicted), as_boxes(reference)
    if len(second) == 0:
        raise ValueError("expected at least one reference box, got none")
    return float(_phrase_ious(first[None], second[None])[0])


def phrase_ious(predicted: BoxSets, reference: BoxSets) -> FloatArray:
    """``phrase_iou`` of each phrase, ``[n]``. Raises ``ValueError`` where one has no reference box."""
    if (reference.counts == 0).any():
        raise ValueError("expected at least one reference box a phrase, got a phrase without")
    return score_sets(predicted, reference, _phrase_ious)


def union_iou(predicted: ArrayLike, reference: ArrayLike) -> float:
    """IoU of the areas that the two sets of boxes cover together, exact (no raster); two empty areas give 0."""
    return float(_union_ious(as_boxes(predicted)[None], as_boxes(reference)[None])[0])


def union_ious(predicted: BoxSets, reference: BoxSets) -> FloatArray:
    """``union_iou`` of each phrase, ``[n]``."""
    return score_sets(predicted, reference, _union_ious)


def dice_box(predicted: ArrayLike, reference: ArrayLike) -> float:
    """Dice coefficient of the areas that the two sets of boxes cover together; two empty areas give 0."""
    return float(dice_of(union_iou(predicted, reference)))


def dice_boxes(predicted: BoxSets, reference: BoxSets) -> FloatArray:
    """``dice_box`` of each phrase, ``[n]``: ``2 u / (1 + u)`` of its ``union_iou`` ``u``."""
    return dice_of(union_ious(predicted, reference))


def dice_of(overlaps: ArrayLike) -> FloatArray:
    """The Dice coefficients ``2 u / (1 + u)`` of areas whose IoU are ``u``, of any shape."""
    found = np.asarray(overlaps, dtype=np.float64)
    return np.asarray(2 * found / (1 + found))


def covered_area(boxes: ArrayLike) -> float:
    """Area that the boxes cover together, in square pixels; what two boxes share counts once."""
    array = as_boxes(boxes)[None]
    return float(_shared_and_joint_areas(array, array[:, :0])[1][0])


def centre_distances(predicted: ArrayLike, reference: ArrayLike, sizes: ArrayLike) -> FloatArray:
    """Distance of the centres of boxes ``[n, 4]`` one by one over the image's diagonal, ``[n]``.

    ``sizes`` is ``(width, height)`` of one image or of each, ``[n, 2]``. Defined for one box against one alone.
    Raises ``ValueError`` when boxes are not equally many or a size is not positive.
    """
    first, second, size = as_boxes(predicted), as_boxes(reference), np.asarray(sizes, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"expected as many boxes on both sides, got {len(first)} and {len(second)}")
    if not (size > 0).all():
        raise ValueError("expected images of positive width and height, got one without")
    gap = ((first[:, :2] + first[:, 2:]) - (second[:, :2] + second[:, 2:])) / 2
    return np.asarray(np.linalg.norm(gap, axis=1) / np.linalg.norm(size, axis=-1), dtype=np.float64)


def _overlaps(ious: FloatArray) -> FloatArray:
    return np.minimum(ious, 1.0)  # rounding may leave nearly equal boxes above 1


def _phrase_ious(predicted: FloatArray, reference: FloatArray) -> FloatArray:
    weights = _overlaps(broadcast_iou(predicted[:, :, None], reference[:, None]))
    most = max(weights.shape[1:])
    return np.asarray(matched(weights).sum(axis=1) / most, dtype=np.float64)


def _union_ious(predicted: FloatArray, reference: FloatArray) -> FloatArray:
    if predicted.shape[1] == reference.shape[1] == 1:
        return _overlaps(iou(predicted[:, 0], reference[:, 0]))
    shared, joint = _shared_and_joint_areas(predicted, reference)
    return np.divide(shared, joint, out=np.zeros_like(joint), where=joint > 0)


def _shared_and_joint_areas(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Areas that both sets ``[batch, n, 4]`` and ``[batch, m, 4]`` cover, and that either covers, ``[batch]`` each.

    All edges together cut the plane into cells; each cell lies wholly in a box or wholly outside.
    """
    both = np.concatenate([first, second], axis=1)
    xs = np.sort(both[:, :, [0, 2]].reshape(len(both), -1), axis=1)
    ys = np.sort(both[:, :, [1, 3]].reshape(len(both), -1), axis=1)
    cells = np.diff(ys)[:, :, None] * np.diff(xs)[:, None]
    a, b = _covered(first, xs, ys), _covered(second, xs, ys)
    return (cells * (a & b)).sum(axis=(1, 2)), (cells * (a | b)).sum(axis=(1, 2))


def _covered(boxes: FloatArray, xs: FloatArray, ys: FloatArray) -> NDArray[np.bool_]:
    """Which cells of the grid lie in any of the boxes, ``[batch, rows, columns]``."""
    left, top = xs[:, None, :-1], ys[:, None, :-1]
    in_x = (left >= boxes[:, :, 0:1]) & (left < boxes[:, :, 2:3])
    in_y = (top >= boxes[:, :, 1:2]) & (top < boxes[:, :, 3:4])
    return np.asarray((in_y[:, :, :, None] & in_x[:, :, None]).any(axis=1), dtype=np.bool_)
