"""Whether a model's scores tell how good its boxes are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.stats import spearmanr

from knowmvg.evaluation.samples import Sample


class Calibration(BaseModel):
    """Of the ``n`` phrases that got a box: rank correlation of score and IoU, and mean score minus mean IoU.

    A phrase's score is the mean over its boxes. ``spearman`` is ``None`` where it is undefined: fewer than three
    phrases, or all scores or all IoU alike; ``gap`` is ``None`` without a phrase.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n: int
    spearman: float | None
    gap: float | None


def calibrate(samples: Sequence[Sample]) -> Calibration:
    """Agreement of the scores with the IoU that they estimate."""
    boxed = [sample for sample in samples if sample.scores]
    scores = np.array([np.mean(sample.scores) for sample in boxed])
    ious = np.array([sample.iou for sample in boxed])
    varied = len(boxed) > 2 and np.ptp(scores) > 0 and np.ptp(ious) > 0
    return Calibration(
        n=len(boxed),
        spearman=float(spearmanr(scores, ious).statistic) if varied else None,
        gap=float(scores.mean() - ious.mean()) if boxed else None,
    )
