"""Ways to divide a data set: each is told the rows once, then names the split of any row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from knowmvg.core.errors import ManifestError
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.splits.id_lists import IdLists, read_id_lists
from knowmvg.sources.splits.names import UNUSED, Split, Unit, official_split
from knowmvg.sources.splits.shares import Shares, rarest_findings, share_patients

SplitOf = Callable[[StudyRow], str]


class Division(Protocol):
    """A way to divide a data set."""

    def learn(self, rows: Iterable[StudyRow]) -> SplitOf:
        """Read all rows once and return what names the split of a row."""
        ...

    def facts(self) -> dict[str, Any]:
        """What ``splits.json`` says of the way, ``kind`` and ``unit`` among it; known after ``learn``."""
        ...


@dataclass(frozen=True, slots=True)
class ByShares:
    """Shares of patients by seed; ``stratified`` by each patient's rarest finding.

    Patients with a study in the split ``keep`` stay there, with all their studies; the shares are those of the others.
    """

    shares: Shares
    seed: int = 0
    stratified: bool = False
    keep: Split | None = None

    def learn(self, rows: Iterable[StudyRow]) -> SplitOf:
        """See ``Division``. Raises ``ManifestError`` where nobody is in the split to keep."""
        kept: set[str] = set()
        noted = self._noting(rows, kept)
        strata = rarest_findings(noted) if self.stratified else dict.fromkeys((row.patient for row in noted), "")
        if self.keep is None:
            given = share_patients(strata, self.shares, self.seed, strata)
            return lambda row: given[row.patient]
        if not kept:
            todo = "Leave out --keep, or bring the published splits back with --official first."
            raise ManifestError(f"studies in {self.keep}, to keep them there", "none", todo)
        given = share_patients(strata.keys() - kept, self.shares, self.seed, strata)
        given.update(dict.fromkeys(kept, self.keep))
        return lambda row: given[row.patient]

    def _noting(self, rows: Iterable[StudyRow], kept: set[str]) -> Iterator[StudyRow]:
        for row in rows:
            if self.keep is not None and row.split and official_split(row.split) == self.keep:
                kept.add(row.patient)
            yield row

    def facts(self) -> dict[str, Any]:
        """See ``Division``."""
        told: dict[str, Any] = {"shares": self.shares.text, "seed": self.seed, "stratified": self.stratified}
        if self.keep is not None:
            told["kept"] = self.keep
        return {"kind": "shares", "unit": Unit.PATIENT.value, **told}


@dataclass(slots=True)
class ByLists:
    """Lists of ids. ``rest`` is the split of rows that no list names; ``None`` refuses such rows.

    Raises (``learn``):
        ManifestError: no listed id is in the data, or a row is in no list and ``rest`` is ``None``.
    """

    lists: IdLists
    unit: Unit | None = None
    rest: str | None = None
    unknown: int = field(default=0, init=False)
    """how many listed ids are not in the data"""

    def learn(self, rows: Iterable[StudyRow]) -> SplitOf:
        """See ``Division``."""
        units = [self.unit or self.lists.unit] if self.unit or self.lists.unit else list(Unit)
        hits: dict[Unit, set[str]] = {unit: set() for unit in units if unit is not None}
        missed = dict.fromkeys(hits, 0)
        total = 0
        for row in rows:
            total += 1
            for unit, found in hits.items():
                name = self.lists.find(row, unit)
                missed[unit] += name is None
                if name is not None:
                    found.add(name)
        best = max(hits, key=lambda unit: len(hits[unit]))  # the first of equals, which is the coarsest
        if not hits[best]:
            named = ", ".join(hits)
            raise ManifestError(f"ids of the data set ({named})", "none in the lists", "Check which ids they hold.")
        if missed[best] and self.rest is None:
            todo = "Say with --rest where these go: a split, or unused."
            raise ManifestError("every study in a list", f"{missed[best]} of {total} in none, by {best}", todo)
        self.unit, self.unknown = best, len(self.lists.ids) - len(hits[best])
        return lambda row: self._split_of(row, best)

    def _split_of(self, row: StudyRow, unit: Unit) -> str:
        name = self.lists.find(row, unit)
        if name is not None:
            return self.lists.ids[name]
        return UNUSED if self.rest is None else self.rest

    def facts(self) -> dict[str, Any]:
        """See ``Division``."""
        unit = self.unit or self.lists.unit or Unit.STUDY
        return {"kind": "lists", "unit": unit.value, "rest": self.rest, "unknown_ids": self.unknown}


@dataclass(frozen=True, slots=True)
class Official:
    """The splits that the data set was published with; ``kept`` is where they were put when others took their place."""

    kept: Path | None = None

    def learn(self, rows: Iterable[StudyRow]) -> SplitOf:
        """See ``Division``. Raises ``ManifestError`` where the data set has none."""
        given: Mapping[str, str]
        if self.kept is not None:
            given = read_id_lists([str(self.kept)]).ids
            return lambda row: given.get(row.id, UNUSED)
        for number, row in enumerate(rows, 1):
            if not row.split:
                todo = "Divide it: knowmvg splits FOLDER --ratio 7:1:2."
                raise ManifestError("an official split in every row", f"none in row {number} of the manifest", todo)
            official_split(row.split)
        return lambda row: official_split(row.split)

    def facts(self) -> dict[str, Any]:
        """See ``Division``."""
        return {"kind": "official", "unit": Unit.STUDY.value}
