"""The numbers of one model under one protocol, each with its interval over patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.calibration import Calibration, calibrate
from knowmvg.evaluation.intervals import RESAMPLES, Estimate, bootstrap, cluster_totals, quotient
from knowmvg.evaluation.localisation import Localisation, Macro, Scores, localise
from knowmvg.evaluation.metrics import dice_of
from knowmvg.evaluation.protocol import Result
from knowmvg.evaluation.samples import Protocol, Sample, StudyCount, values
from knowmvg.evaluation.scores import score_samples

__all__ = ["UNNAMED", "Identification", "Localisation", "Macro", "Summary", "identify", "scores_of", "summarise"]

UNNAMED = "(no finding)"
_COUNTS = ("correct", "named", "expected", "words", "findings", "false", "absent")
_RATES = ("precision", "recall", "f1", "token_f1", "finding_f1", "false_box_rate")


class _Numbers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Identification(_Numbers):
    """Phrases named in ``generate``, and the share of absent, resolved and prior phrases that were given a box.

    ``f1`` counts equal texts, ``token_f1`` shared words, ``finding_f1`` equal findings (docs/metrics.md).
    """

    n_expected: int
    n_named: int
    n_correct: int
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None
    token_f1: Estimate | None
    finding_f1: Estimate | None
    n_absent: int
    false_box_rate: Estimate | None


class Summary(_Numbers):
    """All numbers of one model under one protocol; ``identification`` is ``None`` where the phrases were given.

    ``scores`` has the further metrics by their names in docs/metrics.md.
    """

    protocol: Protocol
    n_studies: int
    micro: Localisation
    macro: Macro
    per_finding: dict[str, Localisation]
    identification: Identification | None
    calibration: Calibration
    scores: dict[str, Estimate | None]


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
        scores=score_samples(result.samples, resamples=resamples, seed=seed),
    )


def identify(counts: Sequence[StudyCount], *, resamples: int = RESAMPLES, seed: int = 0) -> Identification:
    """Precision, recall and F1 over all phrases (micro), and the rate of false boxes on absent phrases."""
    rows = np.array([[getattr(c, name) for name in _COUNTS] for c in counts], dtype=np.float64)
    rows = rows.reshape(len(counts), len(_COUNTS))
    totals = cluster_totals(rows, [c.patient for c in counts])
    found = bootstrap(totals, _rates, resamples=resamples, seed=seed) if len(totals) else None
    sums = dict(zip(_COUNTS, rows.sum(axis=0).tolist(), strict=True))
    return Identification(
        n_expected=int(sums["expected"]),
        n_named=int(sums["named"]),
        n_correct=int(sums["correct"]),
        n_absent=int(sums["absent"]),
        **{name: found.estimate(k, share=True) if found else None for k, name in enumerate(_RATES)},
    )


def scores_of(samples: Sequence[Sample]) -> Scores:
    """Samples as the columns that ``localise`` takes."""
    union = np.array([[sample.union_iou] for sample in samples], dtype=np.float64).reshape(len(samples), 1)
    table = np.concatenate([values(samples), union, dice_of(union)], axis=1)
    boxed = np.array([bool(sample.predicted) for sample in samples], dtype=np.bool_)
    return Scores(table, [sample.patient for sample in samples], boxed)


def _rates(sums: FloatArray) -> FloatArray:
    """``_RATES`` ``[r, 6]`` from sums of ``_COUNTS`` ``[r, 7]``."""
    correct, named, expected, words, findings, false, absent = sums.T
    both = named + expected  # F1 = 2 correct / (named + expected)
    tops, bottoms = (
        (correct, correct, 2 * correct, 2 * words, 2 * findings, false),
        (named, expected, *[both] * 3, absent),
    )
    return np.stack([quotient(top, bottom) for top, bottom in zip(tops, bottoms, strict=True)], axis=1)
