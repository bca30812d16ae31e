"""The numbers behind the plots: how accuracy falls with the threshold, what the scores tell, what size does.

A phrase's score is the mean over its boxes. All intervals are 95 % bootstrap intervals over patients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.intervals import (
    RESAMPLES,
    Estimate,
    bootstrap,
    cluster_totals,
    mean_interval,
    quotient,
)
from knowmvg.evaluation.samples import Sample

LEAST = 10  # phrases that a bin is worth
THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 101))


@dataclass(frozen=True, slots=True)
class Curve:
    """``value`` over ``x``, both ``[n]``, with the ends of the pointwise interval; NaN where there is none."""

    x: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True)
class Bin:
    """Phrases whose ``x`` lies in ``[lower, upper]``: their number, their mean ``x`` and their mean IoU."""

    lower: float
    upper: float
    n: int
    x: float
    miou: Estimate


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Mean of 1 - IoU over the share ``coverage`` of phrases that are kept; ``ideal`` where IoU itself would rank them.

    Arrays ``[n]``. Phrases are kept from the highest score; those of equal score come together, those without a box
    last and together.
    """

    coverage: FloatArray
    risk: FloatArray
    ideal: FloatArray


def accuracy_curve(samples: Sequence[Sample], *, resamples: int = RESAMPLES, seed: int = 0) -> Curve:
    """``acc@t``, the share of phrases with IoU of at least t, for t from 0.01 to 1. Raises ``ValueError`` for none."""
    _some(samples)
    ious = np.array([sample.iou for sample in samples])
    hits = ious[:, None] >= np.array(THRESHOLDS)
    numbers = np.concatenate([hits, np.ones((len(ious), 1))], axis=1)
    totals = cluster_totals(numbers, [sample.patient for sample in samples])
    drawn = bootstrap(totals, lambda sums: quotient(sums[:, :-1], sums[:, -1:]), resamples=resamples, seed=seed)
    found = [drawn.estimate(k, share=True) for k in range(hits.shape[1])]
    return Curve(
        np.array(THRESHOLDS),
        np.array([point.value for point in found if point]),
        np.array([np.nan if point.low is None else point.low for point in found if point]),
        np.array([np.nan if point.high is None else point.high for point in found if point]),
    )


def reliability(
    samples: Sequence[Sample], bins: int = 10, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Bin, ...]:
    """Mean IoU by score, in bins of about equally many phrases; those without a box have no score and are left out."""
    boxed = [sample for sample in samples if sample.scores]
    return _binned(boxed, score_of, bins, resamples, seed)


def by_size(samples: Sequence[Sample], bins: int = 8, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Bin, ...]:
    """Mean IoU by the share of the image that the reference covers, in bins of about equally many phrases."""
    return _binned(samples, lambda sample: sample.area, bins, resamples, seed)


def risk_coverage(samples: Sequence[Sample]) -> RiskCoverage:
    """What is gained by leaving out the phrases of low score. Raises ``ValueError`` for none."""
    _some(samples)
    ious = np.array([sample.iou for sample in samples])
    scores = np.array([score_of(sample) if sample.scores else -np.inf for sample in samples])
    order = np.argsort(-scores, kind="stable")
    kept = np.flatnonzero(np.append(scores[order][1:] != scores[order][:-1], True))
    count = np.arange(1, len(ious) + 1)
    risk = np.cumsum(1 - ious[order]) / count
    ideal = np.cumsum(np.sort(1 - ious)) / count
    return RiskCoverage(count[kept] / len(ious), risk[kept], ideal[kept])


def score_of(sample: Sample) -> float:
    """The mean score of a phrase's boxes; it has one only where it has a box."""
    return float(np.mean(sample.scores))


def _binned(
    samples: Sequence[Sample], x_of: Callable[[Sample], float], bins: int, resamples: int, seed: int
) -> tuple[Bin, ...]:
    """Samples in order of ``x``, cut where it changes: at most ``bins`` parts of about equal number, ten or more."""
    if not samples:
        return ()
    bins = max(1, min(bins, len(samples) // LEAST))
    xs = np.array([x_of(sample) for sample in samples])
    ious, patients = np.array([s.iou for s in samples]), [s.patient for s in samples]
    found = []
    for inside in _parts(xs, bins):
        people = [patients[k] for k in inside]
        miou = mean_interval(ious[inside], people, resamples=resamples, seed=seed)
        if miou is not None:
            lower, upper = float(xs[inside].min()), float(xs[inside].max())
            found.append(Bin(lower, upper, len(inside), float(xs[inside].mean()), miou))
    return tuple(found)


def _parts(xs: FloatArray, bins: int) -> list[NDArray[np.intp]]:
    """Places of ``xs`` in increasing order, in parts; equal values are never parted."""
    order = np.argsort(xs, kind="stable")
    ranked = xs[order]
    cuts = {int(np.searchsorted(ranked, ranked[len(xs) * k // bins])) for k in range(1, bins)}
    return [part for part in np.split(order, sorted(cuts - {0})) if len(part)]


def _some(samples: Sequence[Sample]) -> None:
    if not samples:
        raise ValueError("expected at least one sample, got none")
