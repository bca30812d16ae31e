"""How sure a number is: bootstrap over patients, because phrases of one patient are not independent.

A resample draws as many patients as there are, with replacement, and takes all phrases of each as often as the patient
was drawn (Field and Welsh 2007, the cluster bootstrap). Intervals are 95 % percentile intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict

from knowmvg.core.boxes import FloatArray

RESAMPLES = 2000
LEVEL = 0.95
_CHUNK_CELLS = 2_000_000  # patients drawn at once; bounds the memory of a large test set


class Estimate(BaseModel):
    """A mean with its interval; ``low`` and ``high`` are ``None`` with fewer than two patients."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    value: float
    low: float | None = None
    high: float | None = None


class Difference(Estimate):
    """A paired difference of two means with its two-sided bootstrap p-value; ``None`` with fewer than two patients."""

    p: float | None = None


def cluster_totals(numbers: ArrayLike, clusters: Sequence[str]) -> FloatArray:
    """Columns ``[n, m]`` summed over the rows of each cluster, ``[clusters, m]``, clusters in sorted order."""
    rows = np.asarray(numbers, dtype=np.float64)
    names, place = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    totals = np.zeros((len(names), rows.shape[1]))
    np.add.at(totals, place, rows)
    return totals


def resample(totals: FloatArray, *, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """Sums over resampled clusters ``[resamples, m]`` of the clusters' totals ``[clusters, m]``.

    The same seed and number of clusters draw the same clusters, so that quotients of columns and differences between
    models are paired. Raises ``ValueError`` without a cluster.
    """
    n = len(totals)
    if n == 0 or resamples < 1:
        raise ValueError(f"expected at least one cluster and one resample, got {n} and {resamples}")
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // n)
    sums = [_draw(rng, min(step, resamples - start), n) @ totals for start in range(0, resamples, step)]
    return np.concatenate(sums)


def _draw(rng: np.random.Generator, rows: int, n: int) -> FloatArray:
    """How often each of ``n`` clusters is drawn in each of ``rows`` resamples, ``[rows, n]``."""
    drawn = rng.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
    return np.asarray(np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n), dtype=np.float64)


def quotient(numerator: ArrayLike, denominator: ArrayLike) -> FloatArray:
    """``numerator / denominator``, NaN where the denominator is 0: what the resamples without a phrase give."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    out: FloatArray = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=out, where=bottom != 0)
    return out


def estimate(value: float, draws: FloatArray, clusters: int) -> Estimate | None:
    """A value with the percentile interval of its resampled values; ``None`` for an undefined (NaN) value.

    Resamples in which the value is undefined are left out.
    """
    if np.isnan(value):
        return None
    low, high = _percentiles(draws, clusters)
    return Estimate(value=float(value), low=low, high=high)


def mean_interval(
    numbers: ArrayLike, clusters: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate | None:
    """Mean of ``numbers`` ``[n]`` over rows with its cluster bootstrap interval; ``None`` without a row."""
    column = np.asarray(numbers, dtype=np.float64)
    if len(column) == 0:
        return None
    totals = cluster_totals(np.stack([column, np.ones_like(column)], axis=1), clusters)
    sums = resample(totals, resamples=resamples, seed=seed)
    return estimate(float(column.mean()), quotient(sums[:, 0], sums[:, 1]), len(totals))


def paired_difference(
    first: ArrayLike, second: ArrayLike, clusters: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference | None:
    """Mean of ``first - second`` ``[n]`` on the same rows, its interval and p-value; ``None`` without a row.

    The p-value is twice the smaller share of resamples on either side of 0 (both counted with one added, so that it is
    never 0): the level at which the percentile interval would just touch 0.
    """
    gaps = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    if len(gaps) == 0:
        return None
    totals = cluster_totals(np.stack([gaps, np.ones_like(gaps)], axis=1), clusters)
    sums = resample(totals, resamples=resamples, seed=seed)
    draws = quotient(sums[:, 0], sums[:, 1])
    low, high = _percentiles(draws, len(totals))
    tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p = None if low is None else min(1.0, 2 * (tail + 1) / (len(draws) + 1))
    return Difference(value=float(gaps.mean()), low=low, high=high, p=p)


def _percentiles(draws: FloatArray, clusters: int) -> tuple[float | None, float | None]:
    known = draws[~np.isnan(draws)]
    if clusters < 2 or known.size == 0:
        return None, None
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
