"""Box arithmetic on numpy arrays, functions named by format; a box is ``(x1, y1, x2, y2)`` unless its name says else.

Coordinates are continuous: x grows to the right and y downwards, ``x2`` and ``y2`` are exclusive edges, and pixel
``(i, j)`` covers the square from ``(i, j)`` to ``(i + 1, j + 1)``. The area of a box is therefore
``(x2 - x1) * (y2 - y1)``.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]


def as_boxes(boxes: ArrayLike) -> FloatArray:
    """Any nesting of boxes as a float array ``[n, 4]``; an empty list gives ``[0, 4]``.

    Raises ``ValueError`` when the last axis is not 4 or a coordinate is not finite.
    """
    array = np.asarray(boxes, dtype=np.float64)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim == 0 or array.shape[-1] != 4:
        raise ValueError(f"expected boxes of shape [n, 4], got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("expected finite box coordinates, got NaN or infinity")
    return array.reshape(-1, 4)


def xywh_to_xyxy(boxes: ArrayLike) -> FloatArray:
    """``(left, top, width, height)`` to ``(x1, y1, x2, y2)``, the COCO and ChestX-ray8 convention."""
    b = as_boxes(boxes)
    return np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], axis=1)


def xyxy_to_xywh(boxes: ArrayLike) -> FloatArray:
    """``(x1, y1, x2, y2)`` to ``(left, top, width, height)``."""
    b = as_boxes(boxes)
    return np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1)


def cxcywh_to_xyxy(boxes: ArrayLike) -> FloatArray:
    """``(centre x, centre y, width, height)`` to ``(x1, y1, x2, y2)``."""
    b = as_boxes(boxes)
    return np.concatenate([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], axis=1)


def xyxy_to_cxcywh(boxes: ArrayLike) -> FloatArray:
    """``(x1, y1, x2, y2)`` to ``(centre x, centre y, width, height)``."""
    b = as_boxes(boxes)
    return np.concatenate([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], axis=1)


def area(boxes: ArrayLike) -> FloatArray:
    """Area of each box, ``[n]``; a box with swapped corners has area 0."""
    b = as_boxes(boxes)
    return np.clip(b[:, 2] - b[:, 0], 0, None) * np.clip(b[:, 3] - b[:, 1], 0, None)


def _intersection_and_union(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    top_left = np.maximum(a[..., :2], b[..., :2])
    bottom_right = np.minimum(a[..., 2:], b[..., 2:])
    size = np.clip(bottom_right - top_left, 0, None)
    intersection = size[..., 0] * size[..., 1]
    area_a = np.prod(np.clip(a[..., 2:] - a[..., :2], 0, None), axis=-1)
    area_b = np.prod(np.clip(b[..., 2:] - b[..., :2], 0, None), axis=-1)
    return intersection, area_a + area_b - intersection


def _paired(a: ArrayLike, b: ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = as_boxes(a), as_boxes(b)
    if len(first) != len(second):  # numpy would repeat a single box without a word
        raise ValueError(f"expected as many boxes on both sides, got {len(first)} and {len(second)}")
    return first, second


def broadcast_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of float boxes ``[..., 4]`` under numpy's broadcasting, for many boxes at once.

    Nothing is checked: ``pairwise_iou`` and ``iou`` are for boxes from outside. Two boxes of zero area have IoU 0.
    """
    intersection, union = _intersection_and_union(a, b)
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def pairwise_iou(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Intersection over union of every box of ``a`` ``[n, 4]`` with every box of ``b`` ``[m, 4]``: ``[n, m]``.

    Two boxes of zero area have IoU 0.
    """
    return broadcast_iou(as_boxes(a)[:, None], as_boxes(b)[None])


def iou(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Intersection over union of the boxes of ``a`` and ``b`` one by one, ``[n]``.

    Raises ``ValueError`` when they are not equally many.
    """
    return broadcast_iou(*_paired(a, b))


def giou(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Generalized IoU of the boxes of ``a`` and ``b`` one by one, ``[n]``, in ``[-1, 1]``.

    Rezatofighi et al., CVPR 2019. Where both boxes are the same point, the value is 0. Raises ``ValueError`` when the
    boxes are not equally many.
    """
    first, second = _paired(a, b)
    intersection, union = _intersection_and_union(first, second)
    hull_size = np.maximum(first[:, 2:], second[:, 2:]) - np.minimum(first[:, :2], second[:, :2])
    hull = np.clip(hull_size, 0, None).prod(axis=1)
    overlap = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    waste = np.divide(hull - union, hull, out=np.zeros_like(hull), where=hull > 0)
    return np.asarray(overlap - waste, dtype=np.float64)


def clip(boxes: ArrayLike, size: tuple[int, int]) -> FloatArray:
    """Boxes cut to an image of ``size`` ``(width, height)``."""
    b = as_boxes(boxes)
    limits = np.array([*size, *size], dtype=np.float64)
    return np.clip(b, 0, limits)


def of_mask(mask: NDArray[np.bool_]) -> FloatArray:
    """The tight box of a boolean mask ``[H, W]`` as ``[1, 4]``; an empty mask gives ``[0, 4]``."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return as_boxes([])
    return as_boxes([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
