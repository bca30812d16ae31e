"""How well boxes lie: means over phrases, over findings and by group, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.intervals import RESAMPLES, Bootstrap, Estimate, bootstrap, quotient
from knowmvg.evaluation.metrics import THRESHOLD_NAMES, THRESHOLDS, BoxSets, dice_of, phrase_ious, union_ious

COLUMNS = ("iou", *THRESHOLD_NAMES, "union", "dice")


@dataclass(frozen=True, slots=True)
class Scores:
    """Scored phrases, a row each: ``table`` ``[n, 6]`` with the ``COLUMNS`` (phrase IoU, hits, union IoU, Dice, all
    in ``[0, 1]``), the patient of each, and whether it was given a box ``[n]``.

    Raises:
        ValueError: another number of rows in one of them.
    """

    table: FloatArray
    patients: Sequence[str]
    boxed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shape = (len(self.patients), len(COLUMNS))
        if self.table.shape != shape or self.boxed.shape != shape[:1]:
            raise ValueError(f"expected a table {shape} and as many marks, got {self.table.shape}, {self.boxed.shape}")

    @classmethod
    def of_boxes(cls, predicted: BoxSets, reference: BoxSets, patients: Sequence[str]) -> Scores:
        """Score the boxes of many phrases, a million of them in seconds.

        Raises ``ValueError`` where the three are not of equally many phrases or a phrase has no reference box.
        """
        ious = phrase_ious(predicted, reference)[:, None]
        unions = union_ious(predicted, reference)[:, None]
        table = np.concatenate([ious, ious >= np.array(THRESHOLDS), unions, dice_of(unions)], axis=1)
        return cls(table, patients, predicted.counts > 0)


class Localisation(BaseModel):
    """Boxes of a set of phrases; ``acc`` by IoU threshold. An estimate is ``None`` where there is no phrase.

    ``n_without_box`` of the phrases got no box, or were not named, and count as IoU 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_phrases: int
    n_patients: int
    n_without_box: int
    miou: Estimate | None
    acc: dict[str, Estimate | None]
    union_iou: Estimate | None
    dice: Estimate | None


class Macro(BaseModel):
    """Mean over findings of the mean over their phrases."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_findings: int
    miou: Estimate | None
    acc: dict[str, Estimate | None]
    dice: Estimate | None


def localise(
    scores: Scores, groups: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Localisation, Macro, dict[str, Localisation]]:
    """Numbers over all phrases, the mean over groups, and each group's numbers, from one set of resampled patients.

    Args:
        scores: the phrases.
        groups: the group of each phrase, its finding for instance, ``[n]``.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    names, group = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    people, patient = np.unique(np.asarray(scores.patients, dtype=np.str_), return_inverse=True)
    if len(people) == 0:
        nothing = _localisation({}, 0, 0, 0)
        return nothing, Macro(n_findings=0, miou=None, acc=nothing.acc, dice=None), {}
    width = len(names)
    totals = _totals(scores.table, patient * width + group, len(people), width)
    found = bootstrap(totals, lambda sums: _means(sums, width), resamples=resamples, seed=seed)
    phrases = np.bincount(group, minlength=width)
    bare = np.bincount(group, weights=~scores.boxed, minlength=width)
    patients = np.bincount(np.unique(patient * width + group) % width, minlength=width)
    parts = {
        str(name): _localisation(_estimates(found, 2 + g, int(patients[g])), phrases[g], patients[g], bare[g])
        for g, name in enumerate(names)
    }
    micro = _localisation(_estimates(found, 0, len(people)), len(group), len(people), bare.sum())
    mean = _estimates(found, 1, len(people))
    accuracies = {name: mean[name] for name in THRESHOLD_NAMES}
    macro = Macro(n_findings=width, miou=mean["iou"], acc=accuracies, dice=mean["dice"])
    return micro, macro, parts


def _totals(table: FloatArray, cell: NDArray[np.int64], people: int, width: int) -> FloatArray:
    """Sums of the columns, and numbers of phrases, by patient and group: ``[patients, groups * (columns + 1)]``."""
    totals = np.empty((people, width, len(COLUMNS) + 1))
    for c in range(len(COLUMNS)):
        totals[:, :, c] = np.bincount(cell, weights=table[:, c], minlength=people * width).reshape(people, width)
    totals[:, :, -1] = np.bincount(cell, minlength=people * width).reshape(people, width)
    return totals.reshape(people, -1)


def _means(sums: FloatArray, width: int) -> FloatArray:
    """Column means over all phrases, over groups, and in each group ``[r, (2 + groups) * columns]`` from sums by group.

    A group without a phrase has none, and the mean over groups leaves it out.
    """
    cube = sums.reshape(len(sums), width, len(COLUMNS) + 1)
    whole = cube.sum(axis=1, keepdims=True)
    each = quotient(cube[:, :, :-1], cube[:, :, -1:])
    known = ~np.isnan(each)
    mean = quotient(np.where(known, each, 0.0).sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True))
    every = np.concatenate([quotient(whole[:, :, :-1], whole[:, :, -1:]), mean, each], axis=1)
    return every.reshape(len(sums), -1)


def _estimates(found: Bootstrap, place: int, patients: int) -> dict[str, Estimate | None]:
    start = place * len(COLUMNS)
    return {name: found.estimate(start + c, clusters=patients, share=True) for c, name in enumerate(COLUMNS)}


def _localisation(found: dict[str, Estimate | None], phrases: int, patients: int, without_box: int) -> Localisation:
    return Localisation(
        n_phrases=int(phrases),
        n_patients=int(patients),
        n_without_box=int(without_box),
        miou=found.get("iou"),
        acc={name: found.get(name) for name in THRESHOLD_NAMES},
        union_iou=found.get("union"),
        dice=found.get("dice"),
    )
