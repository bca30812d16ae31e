"""The first pass: rows and faults of the reader, checked and appended to the journal from where it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.reader import DatasetReader, Fault
from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.prepare.checks import MISSING_IMAGE, RowChecks, left_out
from knowmvg.sources.prepare.journal import Journal

RowTransform: TypeAlias = Callable[[StudyRow], StudyRow | None]
Progress: TypeAlias = Callable[[str, int, int | None], None]

READING = "reading and checking"
NOTED_EVERY = 500  # rows; what is lost when a run is cut off
TOLD_EVERY = 64


@dataclass(frozen=True, slots=True)
class Collector:
    """What the first pass works with: the checks, the journal, the transform of rows, and whether faults may be."""

    checks: RowChecks
    journal: Journal
    transform: RowTransform | None
    skip_faulty: bool

    def collect(self, reader: DatasetReader, first: Sequence[Fault], told: Progress) -> None:
        """Take everything that the reader gives; ``first`` are faults that are known before it.

        Raises:
            ManifestError: a fault that may not be skipped, or a reader that gives other rows than it gave before.
        """
        journal = self.journal
        items: Iterator[StudyRow | Fault] = reader.read()
        if journal.taken:
            for row in journal.rows():
                self.checks.ids.add(row.id)
            _pass_over(items, journal)
        else:
            for fault in first:
                self._record(fault)
        taken, last = journal.taken, journal.last
        for taken, item in enumerate(items, journal.taken + 1):
            if isinstance(item, Fault):
                self._record(item)
            else:
                last = item.id
                self._check(item)
            if taken % NOTED_EVERY == 0:
                journal.note(taken, last)
            if taken % TOLD_EVERY == 0:
                told(READING, taken, None)
        journal.note(taken, last)
        told(READING, taken, taken)

    def _check(self, row: StudyRow) -> None:
        try:
            checked, mended = self.checks(row)
            changed = self.transform(checked) if self.transform else checked
        except UnusableError as reason:
            self._record(left_out(row, reason))
            return
        for fault in mended:
            self._record(fault)
        if changed is not None:
            self.journal.row(changed)

    def _record(self, fault: Fault) -> None:
        if not fault.kept and not self.skip_faulty:
            place = fault.file if fault.row is None else f"row {fault.row} of {fault.file}"
            first = "Check --images" if fault.kind == MISSING_IMAGE else "Correct the source"
            todo = f"{first}, or leave such rows out with --skip-faulty."
            raise ManifestError(f"a usable {place}", f"{fault.kind}: {fault.detail}", todo)
        self.journal.fault(fault)


def _pass_over(items: Iterator[StudyRow | Fault], journal: Journal) -> None:
    """Let the reader give again what was taken before, and make sure that it is the same."""
    last = None
    count = 0
    for item in islice(items, journal.taken):
        count += 1
        last = item.id if isinstance(item, StudyRow) else last
    if count != journal.taken or last != journal.last:
        todo = f"Remove {journal.folder} and run the command again."
        raise ManifestError("the rows of the run that was cut off", "others from the same files", todo)
