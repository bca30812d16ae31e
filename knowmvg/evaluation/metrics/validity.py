"""Answers that cannot be scored: they score 0 and are counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmvg.core.boxes import FloatArray


def usable_boxes(boxes: ArrayLike) -> NDArray[np.bool_]:
    """Which of the boxes ``[n, 4]`` (xyxy, as a model wrote them) are boxes: finite, with ``x1 < x2`` and ``y1 < y2``.

    Raises ``ValueError`` when the last axis is not 4.
    """
    array = np.asarray(boxes, dtype=np.float64)
    if array.size == 0:
        return np.zeros(0, dtype=np.bool_)
    if array.ndim == 0 or array.shape[-1] != 4:
        raise ValueError(f"expected boxes of shape [n, 4], got {array.shape}")
    rows = array.reshape(-1, 4)
    return np.asarray(np.isfinite(rows).all(axis=1) & (rows[:, 0] < rows[:, 2]) & (rows[:, 1] < rows[:, 3]))


def valid_rate(valid: ArrayLike) -> float:
    """Share of phrases ``[n]`` (bool) with at least one usable box; NaN without a phrase."""
    answered = _flags(valid)
    return float(answered.mean()) if answered.size else float("nan")


def zero_where_invalid(values: ArrayLike, valid: ArrayLike) -> FloatArray:
    """The values ``[n]`` with 0 for phrases without a usable box, whose own value (NaN, say) is not looked at.

    Raises ``ValueError`` for a valid phrase with NaN, or lists of two lengths.
    """
    array, answered = _values(values, valid)
    return np.where(answered, array, 0.0)


def valid_only_mean(values: ArrayLike, valid: ArrayLike) -> float:
    """Mean over the phrases with a usable box alone; NaN without one. Never printed without ``valid_rate`` beside it.

    A model that answers only where it is sure gains by this mean, so that models of different rates do not compare.
    """
    array, answered = _values(values, valid)
    return float(array[answered].mean()) if answered.any() else float("nan")


def _flags(valid: ArrayLike) -> NDArray[np.bool_]:
    flags = np.asarray(valid).reshape(-1)
    if flags.size and flags.dtype != np.bool_:
        raise ValueError(f"expected a bool a phrase, got {flags.dtype}")
    return flags.astype(np.bool_)


def _values(values: ArrayLike, valid: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
    array, answered = np.asarray(values, dtype=np.float64).reshape(-1), _flags(valid)
    if array.shape != answered.shape:
        raise ValueError(f"expected a value and a bool a phrase, got {len(array)} and {len(answered)}")
    if np.isnan(array[answered]).any():
        raise ValueError("expected a number for every phrase with a usable box, got NaN")
    return array, answered
