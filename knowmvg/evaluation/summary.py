"""The numbers of one model under one protocol, each with its interval over patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.calibration import Calibration, calibrate
from knowmvg.evaluation.intervals import RESAMPLES, Estimate, cluster_totals, estimate, quotient, resample
from knowmvg.evaluation.metrics import THRESHOLD_NAMES
from knowmvg.evaluation.protocol import Result
from knowmvg.evaluation.samples import Protocol, Sample, StudyCount, values

UNNAMED = "(no finding)"


class _Numbers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Localisation(_Numbers):
    """Boxes of a set of phrases; ``acc`` by IoU threshold. An estimate is ``None`` where there is no phrase.

    ``n_without_box`` of the phrases got no box, or were not named, and count as IoU 0.
    """

    n_phrases: int
    n_patients: int
    n_without_box: int
    miou: Estimate | None
    acc: dict[str, Estimate | None]
    union_iou: Estimate | None


class Macro(_Numbers):
    """Mean over findings of the mean over their phrases."""

    n_findings: int
    miou: Estimate | None
    acc: dict[str, Estimate | None]


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


_NAMES = ("iou", *THRESHOLD_NAMES, "union")


def summarise(result: Result, *, phrases_given: bool = False, resamples: int = RESAMPLES, seed: int = 0) -> Summary:
    """Numbers of a result. ``phrases_given``: the row was told the phrases, so that naming them means nothing."""
    given = phrases_given or result.protocol.gives_phrases
    micro, macro, per_finding = _localise(result.samples, resamples, seed)
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
    draws = resample(totals, resamples=resamples, seed=seed) if len(totals) else np.zeros((0, 5))

    def rate(top: int, *bottom: int) -> Estimate | None:
        scale = len(bottom)  # F1 = 2 correct / (named + expected)
        value = quotient(scale * sums[top], sums[list(bottom)].sum())
        return estimate(float(value), quotient(scale * draws[:, top], draws[:, bottom].sum(axis=1)), len(totals))

    correct, named, expected, false, absent = range(5)
    return Identification(
        n_expected=int(sums[expected]),
        n_named=int(sums[named]),
        n_correct=int(sums[correct]),
        precision=rate(correct, named),
        recall=rate(correct, expected),
        f1=rate(correct, named, expected),
        n_absent=int(sums[absent]),
        false_box_rate=rate(false, absent),
    )


def _localise(
    samples: Sequence[Sample], resamples: int, seed: int
) -> tuple[Localisation, Macro, dict[str, Localisation]]:
    """Micro, macro and per finding numbers from one set of resampled patients."""
    findings = sorted({sample.finding or UNNAMED for sample in samples})
    groups = np.array([[True, *((s.finding or UNNAMED) == f for f in findings)] for s in samples], dtype=np.bool_)
    groups = groups.reshape(len(samples), 1 + len(findings))
    rest = np.array([[s.union_iou, 1.0] for s in samples], dtype=np.float64).reshape(len(samples), 2)
    table = np.concatenate([values(samples), rest], axis=1)
    cube = groups[:, :, None] * table.reshape(len(samples), 1, len(_NAMES) + 1)  # [phrases, 1 + findings, columns]
    patients = [sample.patient for sample in samples]
    totals = cluster_totals(cube.reshape(len(samples), cube.shape[1] * cube.shape[2]), patients)
    draws = _means(resample(totals, resamples=resamples, seed=seed), cube) if len(totals) else None
    means = _means(totals.sum(axis=0, keepdims=True), cube)[0]
    people = [
        len({p for p, inside in zip(patients, groups[:, g], strict=True) if inside}) for g in range(cube.shape[1])
    ]
    bare = np.array([not sample.predicted for sample in samples], dtype=np.bool_)
    parts = [
        _localisation(
            means[g],
            None if draws is None else draws[:, g],
            int(groups[:, g].sum()),
            people[g],
            int((bare & groups[:, g]).sum()),
        )
        for g in range(cube.shape[1])
    ]
    return parts[0], _macro(means[1:], draws, people[0]), dict(zip(findings, parts[1:], strict=True))


def _means(sums: FloatArray, cube: FloatArray) -> FloatArray:
    """Column means ``[resamples, 1 + findings, columns]`` of flat sums; NaN for a group that was not drawn."""
    shaped = sums.reshape(len(sums), cube.shape[1], cube.shape[2])
    return quotient(shaped[:, :, :-1], shaped[:, :, -1:])


def _estimates(means: FloatArray, draws: FloatArray | None, patients: int) -> dict[str, Estimate | None]:
    if draws is None:
        return dict.fromkeys(_NAMES)
    return {name: estimate(float(means[k]), draws[:, k], patients) for k, name in enumerate(_NAMES)}


def _localisation(
    means: FloatArray, draws: FloatArray | None, phrases: int, patients: int, without_box: int
) -> Localisation:
    found = _estimates(means, draws, patients)
    return Localisation(
        n_phrases=phrases,
        n_patients=patients,
        n_without_box=without_box,
        miou=found["iou"],
        acc={name: found[name] for name in THRESHOLD_NAMES},
        union_iou=found["union"],
    )


def _macro(means: FloatArray, draws: FloatArray | None, patients: int) -> Macro:
    """Means over findings; a finding that a resample did not draw is left out of that resample."""
    if draws is None:
        return Macro(n_findings=0, miou=None, acc=dict.fromkeys(THRESHOLD_NAMES))
    found = _estimates(means.mean(axis=0), np.nanmean(draws[:, 1:], axis=1), patients)
    return Macro(n_findings=len(means), miou=found["iou"], acc={name: found[name] for name in THRESHOLD_NAMES})
