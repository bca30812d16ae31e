"""Whether a score tells how good a box is: calibration error, and what is gained by leaving out the unsure ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.metrics.assignment import IntArray
from knowmvg.evaluation.metrics.ranking import ends_of_equals

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """Phrases binned by score: the data of a reliability diagram. Empty bins are left out.

    ``lower`` and ``upper`` are the bins' edges (a bin holds its upper edge), ``count`` its phrases, ``score`` their
    mean score and ``target`` the mean of what the score should tell; each ``[bins]``.
    """

    lower: FloatArray
    upper: FloatArray
    count: IntArray
    score: FloatArray
    target: FloatArray

    @property
    def expected_error(self) -> float:
        """Mean over phrases of their bin's ``|score - target|`` (ECE; Naeini 2015, Guo 2017); NaN without a phrase."""
        return float(np.average(self._gaps, weights=self.count)) if len(self.count) else float("nan")

    @property
    def greatest_error(self) -> float:
        """The greatest ``|score - target|`` of a bin (MCE); NaN without a phrase."""
        return float(self._gaps.max()) if len(self.count) else float("nan")

    @property
    def _gaps(self) -> FloatArray:
        return np.asarray(np.abs(self.score - self.target), dtype=np.float64)


def reliability(
    scores: ArrayLike, targets: ArrayLike, *, bins: int = BINS, by: Literal["width", "count"] = "width"
) -> Reliability:
    """Bin phrases by score.

    Args:
        scores: in ``[0, 1]``, ``[n]``; phrases without a box have no score and are left to ``valid_rate``.
        targets: in ``[0, 1]``, ``[n]``: hits (``ece@t``) or IoU (``ece_iou``).
        bins: their number.
        by: bins of equal width, or of about equally many phrases (equal scores stay together).

    Raises:
        ValueError: lists of two lengths, a value outside ``[0, 1]``, or fewer than one bin.
    """
    score, target = _unit("scores", scores), _unit("targets", targets)
    if len(score) != len(target) or bins < 1:
        raise ValueError(f"expected a target a score and at least 1 bin, got {len(score)}, {len(target)} and {bins}")
    edges = np.linspace(0, 1, bins + 1)
    if by == "count" and len(score):
        edges = np.quantile(score, edges)
    place = np.searchsorted(edges[1:-1], score)
    count = np.bincount(place, minlength=bins)
    kept = np.flatnonzero(count)
    sums = [np.bincount(place, weights=values, minlength=bins)[kept] for values in (score, target)]
    return Reliability(edges[kept], edges[kept + 1], count[kept], sums[0] / count[kept], sums[1] / count[kept])


def calibration_error(scores: ArrayLike, targets: ArrayLike, *, bins: int = BINS) -> float:
    """``ece@t`` with hits as targets, ``ece_iou`` with IoU; bins of equal width. NaN without a phrase."""
    return reliability(scores, targets, bins=bins).expected_error


class RiskCoverage(NamedTuple):
    """Risk over the surest phrases, for each number of them: ``coverage`` ``k / n`` and ``risk``, ``[n]`` each."""

    coverage: FloatArray
    risk: FloatArray


def risk_coverage(scores: ArrayLike, risks: ArrayLike) -> RiskCoverage:
    """Mean risk of the ``k`` phrases with the greatest scores, for ``k`` from 1 to ``n`` (El-Yaniv and Wiener 2010).

    ``scores`` ``[n]`` may be ``-inf`` (no box at all); ``risks`` ``[n]`` is ``1 - IoU``, or 1 for a miss and 0 for a
    hit. Equal scores have no order: the risk is the mean over all orders of them. Raises ``ValueError`` for NaN or
    lists of two lengths.
    """
    score, risk = np.asarray(scores, dtype=np.float64).reshape(-1), np.asarray(risks, dtype=np.float64).reshape(-1)
    if len(score) != len(risk) or np.isnan(score).any() or not np.isfinite(risk).all():
        raise ValueError(f"expected a finite risk a score, got {len(score)} scores and {len(risk)} risks, or NaN")
    order = np.argsort(-score, kind="stable")
    ends = ends_of_equals(score[order])
    k = np.arange(1, len(order) + 1)
    total = np.interp(k, np.append(0, ends), np.append(0.0, np.cumsum(risk[order])[ends - 1]))
    return RiskCoverage(k / max(1, len(k)), total / k)


def aurc(scores: ArrayLike, risks: ArrayLike) -> float:
    """Area under the risk-coverage curve: the mean of its risks (Geifman et al. 2019); NaN without a phrase."""
    risk = risk_coverage(scores, risks).risk
    return float(risk.mean()) if risk.size else float("nan")


def aurc_optimal(risks: ArrayLike) -> float:
    """The least ``aurc`` of these risks: scores that order them perfectly."""
    return aurc(-np.asarray(risks, dtype=np.float64), risks)


def aurc_random(risks: ArrayLike) -> float:
    """The expected ``aurc`` of scores that say nothing: the mean risk."""
    return aurc(np.zeros(np.size(risks)), risks)


def e_aurc(scores: ArrayLike, risks: ArrayLike) -> float:
    """Excess: ``aurc`` above the optimal one, which has the model's accuracy taken out."""
    return aurc(scores, risks) - aurc_optimal(risks)


def _unit(name: str, values: ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"expected {name} in [0, 1], got a value outside or NaN")
    return array
