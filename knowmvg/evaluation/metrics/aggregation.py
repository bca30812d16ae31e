"""From numbers of phrases to one number: means over phrases and means over groups (findings)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.metrics.assignment import IntArray


@dataclass(frozen=True, slots=True)
class GroupMeans:
    """Means of the groups and their sizes, ``[groups]`` each, groups in sorted order."""

    names: tuple[str, ...]
    means: FloatArray
    counts: IntArray


def micro_mean(values: ArrayLike) -> float:
    """Mean over phrases ``[n]``; NaN without a phrase. Raises ``ValueError`` for NaN among them."""
    array = _defined(values)
    return float(array.mean()) if array.size else float("nan")


def group_means(values: ArrayLike, groups: Sequence[str]) -> GroupMeans:
    """Mean of the values ``[n]`` of each group. Raises ``ValueError`` for NaN or another number of groups."""
    array = _defined(values)
    if len(groups) != len(array):
        raise ValueError(f"expected a group a value, got {len(groups)} and {len(array)}")
    names, place = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    counts = np.bincount(place, minlength=len(names))
    return GroupMeans(tuple(names.tolist()), np.bincount(place, weights=array, minlength=len(names)) / counts, counts)


def macro_mean(values: ArrayLike, groups: Sequence[str]) -> float:
    """Mean over groups of their mean: each finding counts the same; NaN without a phrase."""
    means = group_means(values, groups).means
    return float(means.mean()) if means.size else float("nan")


def count_weighted_mean(means: ArrayLike, counts: ArrayLike) -> float:
    """``sum n m / sum n`` of group means ``m`` and counts ``n``.

    With the groups' own counts this is the micro mean. Papers that print it with the counts of another split (wIoU,
    wDice of PFMVG) weight findings by something that was not tested. Raises ``ValueError`` for counts below 0 or all 0.
    """
    return weighted_mean(means, counts, power=1)


def weighted_mean(means: ArrayLike, counts: ArrayLike, *, power: float) -> float:
    """``sum n^power m / sum n^power``; ``power`` 0 is the macro mean, 1 the micro mean."""
    values, weights = _defined(means), np.asarray(counts, dtype=np.float64).reshape(-1)
    if len(values) != len(weights) or not (weights >= 0).all() or not weights.any():
        raise ValueError(f"expected a count of 0 or more for each of {len(values)} means, and not all 0, got {weights}")
    return float(np.average(values, weights=weights**power))


@dataclass(frozen=True, slots=True)
class DefinedMean:
    """A mean over the ``n`` values that are defined; ``undefined`` (NaN) ones are counted, not hidden."""

    value: float
    n: int
    undefined: int


def defined_mean(values: ArrayLike) -> DefinedMean:
    """Mean of heat-map metrics, which may be undefined (NaN) for a phrase; an infinite value makes it infinite."""
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    known = array[~np.isnan(array)]
    return DefinedMean(float(known.mean()) if known.size else float("nan"), known.size, array.size - known.size)


def _defined(values: ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if np.isnan(array).any():
        raise ValueError("expected defined values, got NaN; score missing answers 0, or use defined_mean")
    return array
