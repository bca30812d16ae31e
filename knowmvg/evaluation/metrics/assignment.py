"""One-to-one matching of many small sets at once.

A phrase has one to three boxes, and a test set up to a million phrases: trying all assignments of a small set for a
whole batch in numpy is far faster than a solver a phrase. Larger sets go to ``scipy.optimize.linear_sum_assignment``
(the Hungarian method, Kuhn 1955). The choice depends on the sets' sizes alone, so that a batch of n equals n singles.
"""

from __future__ import annotations

from itertools import permutations
from math import perm
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from knowmvg.core.boxes import FloatArray

IntArray: TypeAlias = NDArray[np.int64]

_TRIED = 24  # assignments worth trying one by one: sets of up to 4 and 4, or 1 and 24


def partners(weights: FloatArray) -> IntArray:
    """For each column its row in the assignment of the greatest total weight, ``-1`` where it has none.

    Args:
        weights: ``[batch, rows, columns]``, finite.

    Returns:
        ``[batch, columns]``; every row occurs at most once in a batch item.
    """
    batch, rows, columns = weights.shape
    if rows >= columns:
        return _rows_of_columns(weights)
    found = np.full((batch, columns), -1, dtype=np.int64)
    chosen = _rows_of_columns(weights.transpose(0, 2, 1))
    found[np.arange(batch)[:, None], chosen] = np.arange(rows)
    return found


def matched(weights: FloatArray) -> FloatArray:
    """For each column its weight in the assignment of the greatest total weight, 0 where it has no partner.

    ``weights`` ``[batch, rows, columns]`` gives ``[batch, columns]``.
    """
    rows = partners(weights)
    if weights.shape[1] == 0:
        return np.zeros(rows.shape)
    found = np.take_along_axis(weights, np.maximum(rows, 0)[:, None], axis=1)[:, 0]
    return np.where(rows >= 0, found, 0.0)


def _rows_of_columns(weights: FloatArray) -> IntArray:
    """``partners`` where there are as many rows as columns or more."""
    batch, rows, columns = weights.shape
    if columns == 0:
        return np.zeros((batch, 0), dtype=np.int64)
    if columns == 1:
        return np.asarray(weights.argmax(axis=1), dtype=np.int64)
    if perm(rows, columns) <= _TRIED:
        return _best_of_all(weights)
    return np.array([_solved(item) for item in weights], dtype=np.int64).reshape(batch, columns)


def _best_of_all(weights: FloatArray) -> IntArray:
    batch, rows, columns = weights.shape
    best, choice = np.full(batch, -np.inf), np.zeros((batch, columns), dtype=np.int64)
    for option in permutations(range(rows), columns):
        total = weights[:, list(option), np.arange(columns)].sum(axis=1)
        better = total > best
        best[better], choice[better] = total[better], option
    return choice


def _solved(weights: FloatArray) -> IntArray:
    rows, columns = linear_sum_assignment(weights, maximize=True)
    return np.asarray(rows[np.argsort(columns)], dtype=np.int64)
