"""How well values rank: area under the ROC curve and average precision, exact (no bins).

The same numbers as ``sklearn.metrics``, on which the tests check them; written here because scikit-learn is no
dependency of the package.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.metrics.assignment import IntArray


def area_under_roc(values: ArrayLike, positive: ArrayLike) -> float:
    """Chance that a positive has a greater value than a negative, ties counting one half.

    ``values`` ``[n]`` and ``positive`` ``[n]`` (bool). NaN without a positive or without a negative.
    """
    array, truth = _pair(values, positive)
    n, m = int(truth.sum()), int((~truth).sum())
    if n == 0 or m == 0:
        return float("nan")
    return float((rankdata(array)[truth].sum() - n * (n + 1) / 2) / (n * m))


def average_precision(values: ArrayLike, positive: ArrayLike) -> float:
    """Sum over distinct values of precision times the step of recall; NaN without a positive."""
    array, truth = _pair(values, positive)
    if not truth.any():
        return float("nan")
    order = np.argsort(-array, kind="stable")
    ends = ends_of_equals(array[order])  # equal values are passed at once
    hits = np.cumsum(truth[order])[ends - 1]
    steps = np.diff(hits, prepend=0) / hits[-1]
    return float((steps * hits / ends).sum())


def ends_of_equals(ordered: FloatArray) -> IntArray:
    """Where each run of equal values ends (exclusive) in ordered values ``[n]``, infinities among them."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0)) + 1


def _pair(values: ArrayLike, positive: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
    array, truth = np.asarray(values, dtype=np.float64).reshape(-1), np.asarray(positive).reshape(-1)
    if array.shape != truth.shape or truth.dtype != np.bool_:
        raise ValueError(f"expected values and bools, equally many, got {array.shape} and {truth.dtype} {truth.shape}")
    if np.isnan(array).any():
        raise ValueError("expected values that can be ordered, got NaN")
    return array, truth
