"""Numbers of phrases that were answered twice, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowmvg.core.boxes import FloatArray, area, as_boxes
from knowmvg.evaluation.intervals import RESAMPLES, Difference, Estimate, mean_interval, paired_difference
from knowmvg.evaluation.samples import Sample


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How the intervals are drawn."""

    resamples: int = RESAMPLES
    seed: int = 0

    def mean(self, numbers: Sequence[float], patients: Sequence[str]) -> Estimate | None:
        """``intervals.mean_interval``."""
        return mean_interval(numbers, patients, resamples=self.resamples, seed=self.seed)

    def difference(self, first: Sequence[float], second: Sequence[float], patients: Sequence[str]) -> Difference | None:
        """``intervals.paired_difference``: the mean of ``first - second``."""
        return paired_difference(first, second, patients, resamples=self.resamples, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Pair:
    """The samples of one phrase: as the study is, and changed."""

    plain: Sample
    changed: Sample


def paired(plain: Sequence[Sample], changed: Sequence[Sample]) -> list[Pair]:
    """The phrases that both have, in the order of ``plain``; ``changed`` may have lost some."""
    by_key = {sample.key: sample for sample in changed}
    return [Pair(sample, by_key[sample.key]) for sample in plain if sample.key in by_key]


def centre_x(boxes: Sequence[Sequence[float]] | FloatArray) -> float:
    """The horizontal centre of boxes ``[n, 4]`` in pixels, each weighed by its area; alike where all areas are 0.

    Raises ``ValueError`` without a box.
    """
    array = as_boxes(boxes)
    if len(array) == 0:
        raise ValueError("expected at least one box, got none")
    weight, middle = area(array), (array[:, 0] + array[:, 2]) / 2
    return float((weight * middle).sum() / weight.sum() if weight.sum() > 0 else middle.mean())
