"""Patients drawn again: the sums over their phrases on each resample of the patients.

A resample draws as many patients as there are, with replacement, and takes all phrases of each as often as the patient
was drawn (Field and Welsh 2007, the cluster bootstrap). Only the patients' totals are needed, so that a million phrases
take little more than their patients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from knowmvg.core.boxes import FloatArray

RESAMPLES = 2000
_CHUNK_CELLS, _CHUNK_ROWS = 2_000_000, 32  # resamples multiplied at once: they bound the memory and keep it in use
_ROW_BY_ROW_FROM = 10_000  # clusters from which one resample fills the cache; the same draws either way


def cluster_totals(numbers: ArrayLike, clusters: Sequence[str]) -> FloatArray:
    """Columns ``[n, m]`` summed over the rows of each cluster, ``[clusters, m]``, clusters in sorted order."""
    rows = np.asarray(numbers, dtype=np.float64)
    names, place = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    columns = [np.bincount(place, weights=column, minlength=len(names)) for column in rows.T]
    return np.stack(columns, axis=1) if columns else np.zeros((len(names), 0))


def resample(totals: FloatArray, *, resamples: int = RESAMPLES, seed: int = 0) -> FloatArray:
    """Sums over resampled clusters ``[resamples, m]`` of the clusters' totals ``[clusters, m]``.

    The same seed and number of clusters draw the same clusters, so that quotients of columns and differences between
    models are paired. Raises ``ValueError`` without a cluster.
    """
    n = len(totals)
    if n == 0 or resamples < 1:
        raise ValueError(f"expected at least one cluster and one resample, got {n} and {resamples}")
    rng = np.random.default_rng(seed)
    step = max(_CHUNK_ROWS, _CHUNK_CELLS // n)
    sums = [_draw(rng, min(step, resamples - start), n) @ totals for start in range(0, resamples, step)]
    return np.concatenate(sums)


def quotient(numerator: ArrayLike, denominator: ArrayLike) -> FloatArray:
    """``numerator / denominator``, NaN where the denominator is 0: what the resamples without a phrase give."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    out: FloatArray = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=out, where=bottom != 0)
    return out


def _draw(rng: np.random.Generator, rows: int, n: int) -> FloatArray:
    """How often each of ``n`` clusters is drawn in each of ``rows`` resamples, ``[rows, n]``."""
    if n >= _ROW_BY_ROW_FROM:
        times: FloatArray = np.empty((rows, n))
        for row in times:
            row[:] = np.bincount(rng.integers(0, n, size=n), minlength=n)
        return times
    drawn = rng.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
    return np.asarray(np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n), dtype=np.float64)
