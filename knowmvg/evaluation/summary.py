"""The numbers of one model under one protocol, each with its interval over patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.calibration import Calibration, calibrate
from knowmvg.evaluation.intervals import RESAMPLES, Estimate, bootstrap, cluster_totals, quotient
from knowmvg.evaluation.localisation import Localisation, Macro, Scores, localise
from knowmvg.evaluation.protocol import Result
from knowmvg.evaluation.samples import Protocol, Sample, StudyCount, values

__all__ = ["UNNAMED", "Identification", "Localisation", "Macro", "Summary", "identify", "scores_of", "summarise"]

UNNAMED = "(no finding)"


class _Numbers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Identification(_Numbers):
    """Phrases named in ``generate``, and the share of absent, resolved and prior phrases that were given a box."""

    n_expected: int
    n_named: int
    n_correct: int
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None
    n_absent: int
    false_box_rate: Estimate | None


class Summary(_Numbers):
    """All numbers of one model under one protocol; ``identification`` is ``None`` where the phrases were given."""

    protocol: Protocol
    n_studies: int
    micro: Localisation
    macro: Macro
    per_finding: dict[str, Localisation]
    identification: Identification | None
    calibration: Calibration


def summarise(result: Result, *, phrases_given: bool = False, resamples: int = RESAMPLES, seed: int = 0) -> Summary:
    """Numbers of a result. ``phrases_given``: the row was told the phrases, so that naming them means nothing."""
    given = phrases_given or result.protocol.gives_phrases
    findings = [sample.finding or UNNAMED for sample in result.samples]
    micro, macro, per_finding = localise(scores_of(result.samples), findings, resamples=resamples, seed=seed)
    return Summary(
        protocol=result.protocol,
        n_studies=len(result.counts),
        micro=micro,
        macro=macro,
        per_finding=per_finding,
        identification=None if given else identify(result.counts, resamples=resamples, seed=seed),
        calibration=calibrate(result.samples),
    )


def identify(counts: Sequence[StudyCount], *, resamples: int = RESAMPLES, seed: int = 0) -> Identification:
    """Precision, recall and F1 over all phrases (micro), and the rate of false boxes on absent phrases."""
    rows = np.array([[c.correct, c.named, c.expected, c.false, c.absent] for c in counts], dtype=np.float64)
    rows = rows.reshape(len(counts), 5)
    totals = cluster_totals(rows, [c.patient for c in counts])
    sums = rows.sum(axis=0)
    found = bootstrap(totals, _rates, resamples=resamples, seed=seed) if len(totals) else None

    def rate(k: int) -> Estimate | None:
        return None if found is None else found.estimate(k, share=True)

    correct, named, expected, _, absent = (int(count) for count in sums)
    return Identification(
        n_expected=expected,
        n_named=named,
        n_correct=correct,
        precision=rate(0),
        recall=rate(1),
        f1=rate(2),
        n_absent=absent,
        false_box_rate=rate(3),
    )


def scores_of(samples: Sequence[Sample]) -> Scores:
    """Samples as the columns that ``localise`` takes."""
    union = np.array([[sample.union_iou] for sample in samples], dtype=np.float64).reshape(len(samples), 1)
    boxed = np.array([bool(sample.predicted) for sample in samples], dtype=np.bool_)
    return Scores(np.concatenate([values(samples), union], axis=1), [sample.patient for sample in samples], boxed)


def _rates(sums: FloatArray) -> FloatArray:
    """Precision, recall, F1 and the rate of false boxes ``[r, 4]`` from sums of the five counts."""
    correct, named, expected, false, absent = sums.T
    pairs = ((correct, named), (correct, expected), (2 * correct, named + expected), (false, absent))
    return np.stack([quotient(top, bottom) for top, bottom in pairs], axis=1)
