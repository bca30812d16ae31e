"""Differences between rows, paired by phrase: each row's IoU of a phrase is its mean over the row's seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import numpy as np

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.intervals import RESAMPLES, Difference, paired_difference
from knowmvg.evaluation.leaderboard.entry import Entry
from knowmvg.evaluation.protocol import Result
from knowmvg.evaluation.samples import in_order_of

Key: TypeAlias = tuple[str, str, str, str, str, int | None]


@dataclass(frozen=True, slots=True)
class PhraseIous:
    """The IoU of each phrase ``[n]``, the phrases and their patients in the order of the phrases' keys."""

    phrases: tuple[tuple[str, int], ...]
    patients: tuple[str, ...]
    ious: FloatArray

    @classmethod
    def of(cls, results: Sequence[Result]) -> PhraseIous:
        """The mean over results on the same phrases. Raises ``ValueError`` for results on different ones."""
        order = sorted(results[0].samples, key=lambda sample: sample.key)
        seeds = [[sample.iou for sample in in_order_of(result.samples, order)] for result in results]
        phrases, patients = tuple(sample.key for sample in order), tuple(sample.patient for sample in order)
        return cls(phrases, patients, np.mean(seeds, axis=0, dtype=np.float64))

    def minus(self, other: PhraseIous, *, resamples: int = RESAMPLES, seed: int = 0) -> Difference | None:
        """The paired difference with its interval. Raises ``ValueError`` for other phrases or patients."""
        if (self.phrases, self.patients) != (other.phrases, other.patients):
            raise ValueError("expected the same phrases of the same patients in both rows")
        return paired_difference(self.ious, other.ious, self.patients, resamples=resamples, seed=seed)


def with_differences(
    entries: Sequence[Entry], ious: Mapping[Key, PhraseIous], against: str | None = None, *, resamples: int = RESAMPLES
) -> list[Entry]:
    """The entries with ``against`` and ``difference``, each within its protocol and studies.

    Args:
        entries: rows that were asked together; their data set and split are one.
        ious: what each has per phrase, by the entry's key.
        against: the row that the others are compared with; the best model of each table without it. A table that lacks
            the row gets no differences.
        resamples: of the bootstrap.
    """
    ranked = sorted(entries, key=_table)
    found: list[Entry] = []
    for _, group in groupby(ranked, key=_table):
        rows = list(group)
        wanted = [e for e in rows if (e.row == against if against is not None else e.kind == "model")]
        first = max(wanted, key=lambda e: e.miou.value, default=None)
        for row in rows:
            compared = first is not None and row is not first
            gap = ious[row.key].minus(ious[first.key], resamples=resamples) if first is not None and compared else None
            name = first.row if first is not None and gap is not None else None
            found.append(row.model_copy(update={"difference": gap, "against": name}))
    return found


def _table(entry: Entry) -> tuple[str, int]:
    return entry.protocol, entry.drawn or 0
