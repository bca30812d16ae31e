"""The smallest difference that a set of test patients can show: what a comparison without a finding may have missed."""

from __future__ import annotations

import numpy as np
from scipy import special

from knowmvg.core.boxes import FloatArray

POWER = 0.8
SIGNIFICANCE = 0.05


def standard_error(totals: FloatArray) -> float | None:
    """Standard error of a mean over rows from its clusters' totals ``[clusters, 2]``: sums of the number, and counts.

    That of a ratio of cluster totals, by linearisation (Cochran 1977, section 6.4). ``None`` with fewer than two
    clusters.
    """
    n = len(totals)
    if n < 2:
        return None
    mean = totals[:, 0].sum() / totals[:, 1].sum()
    residuals = totals[:, 0] - mean * totals[:, 1]
    return float(np.sqrt((residuals**2).sum() / (n * (n - 1))) / totals[:, 1].mean())


def detectable_difference(
    totals: FloatArray, *, power: float = POWER, significance: float = SIGNIFICANCE
) -> float | None:
    """Smallest true difference that a two-sided paired test on such patients finds with the given power.

    Args:
        totals: differences summed over each patient's phrases and numbers of phrases, ``[patients, 2]``. Only their
            spread counts, not the difference that they show.
        power: share of test sets of this size in which the test should find it.
        significance: level of the test; a share of it for one test among several (Bonferroni).

    Returns:
        The difference in the unit of the numbers, ``None`` with fewer than two patients. It is the standard error times
        the noncentrality at which a t-test with ``patients - 1`` degrees of freedom reaches the power (Cohen 1988).
    """
    error = standard_error(totals)
    return None if error is None else error * _noncentrality(len(totals) - 1, power, significance)


def _noncentrality(freedom: int, power: float, significance: float) -> float:
    """Shift, in standard errors, at which a two-sided t-test has the power; a finding of the wrong sign is none."""
    return float(special.nctdtrinc(freedom, 1 - power, -special.stdtrit(freedom, significance / 2)))
