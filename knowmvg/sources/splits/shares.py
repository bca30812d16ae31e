"""Shares of patients: who is in which split hangs on the seed and the patients' ids alone.

Patients are ranked by SHA-256 of seed and id, so that neither the order of the rows nor the platform matters. The
counts are those of the shares by the largest remainder: 100 patients at 7:1:2 are exactly 70, 10 and 20. With strata
each stratum is divided like the whole, as nearly as whole patients allow.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from knowmvg.core.errors import RecipeError
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.splits.names import SPLITS, Split

NO_FINDING = ""
"""The stratum of patients without a placed finding."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Weights of train, val and test, at least one of them positive: 7, 1, 2."""

    train: float
    val: float
    test: float

    def __post_init__(self) -> None:
        weights = self.weights
        if min(weights) < 0 or not all(map(math.isfinite, weights)) or sum(weights) <= 0:
            raise RecipeError("three shares, none negative and not all 0", self.text, "For example 7:1:2.")

    @property
    def weights(self) -> tuple[float, float, float]:
        """In the order of ``SPLITS``."""
        return self.train, self.val, self.test

    @property
    def text(self) -> str:
        """As it is given on the command line."""
        return ":".join(f"{weight:g}" for weight in self.weights)

    @classmethod
    def parse(cls, text: str) -> Shares:
        """``7:1:2``, ``0.7:0.1:0.2``. Raises ``RecipeError`` for anything else."""
        try:
            train, val, test = (float(part) for part in text.split(":"))
        except ValueError as error:
            raise RecipeError("shares as TRAIN:VAL:TEST", repr(text[:40]), "For example 7:1:2.") from error
        return cls(train, val, test)

    def counts(self, patients: int) -> dict[Split, int]:
        """How many of so many patients each split gets: whole parts first, the rest to the largest remainders."""
        exact = [weight / sum(self.weights) * patients for weight in self.weights]
        counts = [math.floor(round(share, 9)) for share in exact]
        order = sorted(range(len(SPLITS)), key=lambda k: (round(counts[k] - exact[k], 9), k))
        for k in order[: patients - sum(counts)]:
            counts[k] += 1
        return dict(zip(SPLITS, counts, strict=True))


def share_patients(
    patients: Iterable[str], shares: Shares, seed: int, strata: Mapping[str, str] | None = None
) -> dict[str, Split]:
    """The split of each patient.

    Args:
        patients: ids; one that comes again counts once.
        shares: of train, val and test, by patients.
        seed: another seed is another division.
        strata: stratum by patient (``rarest_finding``); patients that it lacks are in ``NO_FINDING``.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for patient in set(patients):
        groups[(strata or {}).get(patient, NO_FINDING)].append(patient)
    sizes = {name: len(groups[name]) for name in sorted(groups, key=lambda name: (len(groups[name]), name))}
    given: dict[str, Split] = {}
    for name, counts in _table(sizes, shares).items():
        ranked = iter(sorted(groups[name], key=lambda patient: _rank(patient, seed)))
        for split in SPLITS:
            given.update((next(ranked), split) for _ in range(counts[split]))
    return given


def rarest_findings(rows: Iterable[StudyRow]) -> dict[str, str]:
    """The stratum of each patient: of the findings that have boxes, the one that the fewest patients have."""
    findings: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        findings[row.patient].update(phrase.finding for phrase in row.phrases if phrase.finding and phrase.boxes)
    spread = Counter(name for names in findings.values() for name in names)
    return {
        patient: min(names, key=lambda name: (spread[name], name), default=NO_FINDING)
        for patient, names in findings.items()
    }


def _rank(patient: str, seed: int) -> tuple[bytes, str]:
    return hashlib.sha256(f"knowmvg.splits/1\n{seed}\n{patient}".encode()).digest(), patient


def _table(sizes: Mapping[str, int], shares: Shares) -> dict[str, dict[Split, int]]:
    """How many patients of each stratum go to each split; the sums over the strata are exactly ``shares.counts``.

    Patients are counted off one by one, stratum after stratum, each to the split that is furthest below its share so
    far; which patients these are is not decided here.
    """
    total = sum(sizes.values())
    quota = shares.counts(total)
    taken = dict.fromkeys(SPLITS, 0)
    table: dict[str, dict[Split, int]] = {}
    for name, size in sizes.items():
        table[name] = dict.fromkeys(SPLITS, 0)
        for _ in range(size):
            split = _furthest_below(quota, taken, total)
            taken[split] += 1
            table[name][split] += 1
    return table


def _furthest_below(quota: Mapping[Split, int], taken: Mapping[Split, int], total: int) -> Split:
    reached = (sum(taken.values()) + 1) / total
    open_: Sequence[Split] = [split for split in SPLITS if taken[split] < quota[split]]
    return max(open_, key=lambda split: quota[split] * reached - taken[split])
