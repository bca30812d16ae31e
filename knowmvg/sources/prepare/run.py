"""``prepare``: what a reader gives, checked and written as a data set folder of manifest, notes and summary.

Two passes, each a row at a time. The first takes rows and faults from the reader, checks them and appends them to
partial files (``journal.py``), from which a run that was cut off goes on. The second gives each row its split, counts
it and writes the manifest. The folder is moved into its place when everything in it is complete.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from knowmvg import __version__
from knowmvg.core.errors import ManifestError, OutputError
from knowmvg.sources.datasets.reader import DatasetReader, Fault
from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.prepare.checks import RowChecks, left_out
from knowmvg.sources.prepare.checksums import CHANGED, Checksums, changed_file, published
from knowmvg.sources.prepare.journal import FAULTS, NOTE, ROWS, Journal
from knowmvg.sources.prepare.plot import write_plot
from knowmvg.sources.prepare.summary import to_markdown
from knowmvg.sources.prepare.tally import Tally
from knowmvg.sources.prepared import DATASET_FILE, PreparedNotes
from knowmvg.sources.whole_folder import check_free, move_into_place, partial_folder

RowTransform: TypeAlias = Callable[[StudyRow], StudyRow | None]
SplitAssignment: TypeAlias = Callable[[Mapping[str, int]], Mapping[str, str]]
Progress: TypeAlias = Callable[[str, int, int | None], None]

NOTED_EVERY = 500  # rows; what is lost when a run is cut off
READING, WRITING = "reading and checking", "counting and writing"
_TOLD_EVERY = 64


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was prepared: its notes, its counts, and how many rows an earlier run had done already."""

    folder: Path
    notes: PreparedNotes
    tally: Tally
    taken_up: int


def prepare(
    reader: DatasetReader,
    out: Path,
    *,
    skip_faulty: bool = False,
    overwrite: bool = False,
    verify_images: bool = False,
    transform: RowTransform | None = None,
    assign: SplitAssignment | None = None,
    made_with: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Write the data set of ``reader`` into the folder ``out``; images stay where they are.

    Args:
        reader: an opened data set (``sources.datasets.open_reader``).
        out: new folder: ``manifest.jsonl``, ``dataset.json``, ``faults.jsonl``, ``summary.md``, ``summary.png``.
        skip_faulty: leave out what cannot be used and count it, instead of stopping at it.
        overwrite: replace ``out`` if it is a data set already.
        verify_images: compare each image with its published digest, which reads every image in full.
        transform: changes each row after its checks (its text, say), or drops it with ``None``.
        assign: given how many studies each patient has, the split of each patient; without it rows keep their own.
        made_with: how the two were chosen, for the notes; another choice does not take up an earlier run.
        progress: called with a stage, how much of it is done and, if known, of how much.

    Raises:
        ManifestError: a fault without ``skip_faulty``, with its file and row; no study at all; a patient in no split.
        OutputError: ``out`` is taken or cannot be written.
    """
    check_free(out, overwrite=overwrite)
    checks = RowChecks(reader.image_root, Checksums(reader.image_root) if verify_images else None)
    checksums = {path.name: published(path, path.parent.parent) for path in reader.files}
    part, choices = partial_folder(out), dict(made_with or {})
    told = progress or (lambda *_: None)
    try:
        with Journal(part, _settings(reader, choices, skip_faulty, verify_images)) as journal:
            taken_up = journal.taken
            changed = [changed_file(path) for path in reader.files if checksums[path.name] == CHANGED]
            _collect(reader, checks, journal, transform, changed, skip_faulty=skip_faulty, told=told)
            written = _write(part, journal, assign, told)
            notes = _notes(reader, checksums, choices, journal, written)
        _finish(part, notes, written.tally)
        move_into_place(part, out)
    except OSError as error:
        todo = "Free the disk or choose another folder; the same call goes on where this one stopped."
        raise OutputError(f"a folder that can be written at {out}", type(error).__name__, todo) from error
    finally:
        if part.is_dir() and not (part / NOTE).is_file():  # nothing in it that a later run could use
            shutil.rmtree(part, ignore_errors=True)
    return Prepared(out, notes, written.tally, taken_up)


def _settings(reader: DatasetReader, choices: dict[str, str], skip_faulty: bool, verify: bool) -> dict[str, Any]:
    """What must be the same for an earlier run to be taken up."""
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in reader.files]
    facts = reader.facts
    return {
        "knowmvg": __version__,
        "data": [facts.name, facts.version, list(facts.notes), str(reader.image_root)],
        "files": [list(state) for state in states],
        "made_with": choices,
        "rules": [skip_faulty, verify],
    }


def _collect(
    reader: DatasetReader,
    checks: RowChecks,
    journal: Journal,
    transform: RowTransform | None,
    changed: list[Fault],
    *,
    skip_faulty: bool,
    told: Progress,
) -> None:
    """The first pass: from where the journal ends to the end of the reader."""
    items: Iterator[StudyRow | Fault] = reader.read()
    if journal.taken:
        for row in journal.rows():
            checks.ids.add(row.id)
        _pass_over(items, journal)
    else:
        for fault in changed:
            _record(fault, journal, skip_faulty)
    taken, last = journal.taken, journal.last
    for taken, item in enumerate(items, journal.taken + 1):
        if isinstance(item, Fault):
            _record(item, journal, skip_faulty)
        else:
            last = item.id
            _check(item, checks, journal, transform, skip_faulty)
        if taken % NOTED_EVERY == 0:
            journal.note(taken, last)
        if taken % _TOLD_EVERY == 0:
            told(READING, taken, None)
    journal.note(taken, last)
    told(READING, taken, taken)


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


def _check(
    row: StudyRow, checks: RowChecks, journal: Journal, transform: RowTransform | None, skip_faulty: bool
) -> None:
    try:
        checked, mended = checks(row)
        changed = transform(checked) if transform else checked
    except UnusableError as reason:
        _record(left_out(row, reason), journal, skip_faulty)
        return
    for fault in mended:
        _record(fault, journal, skip_faulty)
    if changed is not None:
        journal.row(changed)


def _record(fault: Fault, journal: Journal, skip_faulty: bool) -> None:
    if not fault.kept and not skip_faulty:
        place = fault.file if fault.row is None else f"row {fault.row} of {fault.file}"
        todo = "Correct the source, or leave such rows out with --skip-faulty."
        raise ManifestError(f"a usable {place}", f"{fault.kind}: {fault.detail}", todo)
    journal.fault(fault)


@dataclass(frozen=True, slots=True)
class _Written:
    tally: Tally
    fingerprint: str
    ids: str


def _write(part: Path, journal: Journal, assign: SplitAssignment | None, told: Progress) -> _Written:
    """The second pass: splits, counts and the manifest."""
    splits = None
    total = 0
    patients: Counter[str] = Counter()
    if assign is not None:
        patients.update(row.patient for row in journal.rows())
        splits, total = assign(patients), patients.total()
    tally, content, ids = Tally(), hashlib.sha256(), hashlib.sha256()
    count = 0
    with (part / "manifest.partial.jsonl").open("wb") as manifest:
        for count, row in enumerate(journal.rows(), 1):
            placed = row if splits is None else row.model_copy(update={"split": _split_of(row.patient, splits)})
            line = placed.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"
            manifest.write(line)
            content.update(line)
            ids.update(placed.id.encode() + b"\n")
            tally.add(placed)
            if count % _TOLD_EVERY == 0:
                told(WRITING, count, total or None)
    told(WRITING, count, count)
    if count == 0:
        raise ManifestError("at least one study", "none", "Check --root and --images; see the faults of the source.")
    return _Written(tally, content.hexdigest(), ids.hexdigest())


def _split_of(patient: str, splits: Mapping[str, str]) -> str:
    if patient not in splits:
        raise ManifestError("a split for each patient", f"none for {patient}", "Complete the list of the splits.")
    return splits[patient]


def _notes(
    reader: DatasetReader, checksums: dict[str, str], choices: dict[str, str], journal: Journal, written: _Written
) -> PreparedNotes:
    faults: dict[str, dict[str, int]] = {}
    for fault in journal.faults():
        counts = faults.setdefault(fault.kind, {"mended": 0, "left_out": 0})
        counts["mended" if fault.kept else "left_out"] += 1
    facts = reader.facts
    return PreparedNotes(
        knowmvg=__version__,
        name=facts.name,
        version=facts.version,
        licence=facts.licence,
        credentialed=facts.credentialed,
        source=facts.source,
        notes=facts.notes,
        image_root=str(reader.image_root.resolve()),
        checksums=checksums,
        made_with=choices,
        counts=written.tally.counts(),
        faults=dict(sorted(faults.items())),
        fingerprint=written.fingerprint,
        ids_sha256=written.ids,
    )


def _finish(part: Path, notes: PreparedNotes, tally: Tally) -> None:
    """Give the complete files their names and add what describes them."""
    (part / "manifest.partial.jsonl").rename(part / "manifest.jsonl")
    (part / FAULTS).rename(part / "faults.jsonl")
    text = notes.model_dump_json(by_alias=True, indent=2)
    (part / DATASET_FILE).write_text(text + "\n", encoding="utf-8")
    (part / "summary.md").write_text(to_markdown(notes, tally), encoding="utf-8")
    write_plot(part / "summary.png", notes, tally)
    for name in (ROWS, NOTE):
        (part / name).unlink()
    for leftover in part.glob("*.part"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
