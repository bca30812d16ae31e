"""Is one model better than another? A permutation test over patients, and the correction for asking more than once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from knowmvg.core.boxes import FloatArray

FLIPS = 10_000
_EXACT_UP_TO = 13  # patients: 2 ** 13 patterns of signs are fewer than FLIPS
_CHUNK_CELLS = 2_000_000
_ROUNDING = 1e-9


def sign_flip_p(totals: FloatArray, *, flips: int = FLIPS, seed: int = 0) -> list[float | None]:
    """Two-sided p-values of paired differences, by exchanging the two models within patients.

    Where the models are alike, which of them gave which answer to a patient is a matter of chance, so that the
    patient's difference could as well have had the other sign (Fisher 1935). All phrases of a patient change together.
    Up to 13 patients all patterns of signs are tried; beyond, random ones and the observed one, so that the p-value is
    valid and never 0 (Phipson and Smyth 2010).

    Args:
        totals: differences summed over each patient's phrases, ``[patients, k]``, a column a metric.
        flips: random patterns of signs.
        seed: of the random patterns, the same for all columns.

    Returns:
        ``k`` p-values, ``None`` with fewer than two patients.
    """
    n = len(totals)
    if n < 2:
        return [None] * totals.shape[1]
    observed = np.abs(totals.sum(axis=0))
    reached = observed * (1 - _ROUNDING)
    hits, tried = np.zeros(totals.shape[1]), 0
    for signs in _all_signs(n) if n <= _EXACT_UP_TO else _random_signs(n, flips, seed):
        hits += (np.abs(signs @ totals) >= reached).sum(axis=0)
        tried += len(signs)
    extra = 0 if n <= _EXACT_UP_TO else 1
    return [float(p) for p in (hits + extra) / (tried + extra)]


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number (Holm 1979): as many false findings as a single test at the same level has.

    A test without a p-value is none and does not count.
    """
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        corrected[place] = least
    return corrected


def _all_signs(n: int) -> Iterator[FloatArray]:
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    yield np.asarray(1 - 2 * bits, dtype=np.float64)


def _random_signs(n: int, flips: int, seed: int) -> Iterator[FloatArray]:
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // n)
    for start in range(0, flips, step):
        bits = rng.integers(0, 2, size=(min(step, flips - start), n), dtype=np.int8)
        yield np.asarray(1 - 2 * bits, dtype=np.float64)
