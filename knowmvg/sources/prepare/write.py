"""The second pass: each row gets its split and is counted, and the folder is completed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from knowmvg import __version__
from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.reader import DatasetReader
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.prepare.collect import TOLD_EVERY, Progress
from knowmvg.sources.prepare.journal import FAULTS, NOTE, ROWS, Journal
from knowmvg.sources.prepare.plot import write_plot
from knowmvg.sources.prepare.summary import to_markdown
from knowmvg.sources.prepare.tally import Tally
from knowmvg.sources.prepared import DATASET_FILE, PreparedNotes

SplitAssignment: TypeAlias = Callable[[Iterable[StudyRow]], Callable[[StudyRow], str]]

WRITING = "counting and writing"
MANIFEST = "manifest.partial.jsonl"


@dataclass(frozen=True, slots=True)
class Written:
    """The counts of the rows, and the SHA-256 of the manifest and of its identifiers."""

    tally: Tally
    fingerprint: str
    ids: str


def write_manifest(
    part: Path, journal: Journal, assign: SplitAssignment | None, told: Progress, *, named: bool = False
) -> Written:
    """Write the rows of the journal with their splits, and count them; ``named`` as in ``Tally``.

    Raises ``ManifestError`` where there is no row, and what ``assign`` raises.
    """
    split_of = assign(journal.rows()) if assign else None
    tally, content, ids = Tally(named=named), hashlib.sha256(), hashlib.sha256()
    count = 0
    with (part / MANIFEST).open("wb") as manifest:
        for count, row in enumerate(journal.rows(), 1):
            placed = row if split_of is None else row.model_copy(update={"split": split_of(row)})
            line = placed.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"
            manifest.write(line)
            content.update(line)
            ids.update(placed.id.encode() + b"\n")
            tally.add(placed)
            if count % TOLD_EVERY == 0:
                told(WRITING, count, None)
    told(WRITING, count, count)
    if count == 0:
        (part / NOTE).unlink()  # a later run looks at everything again
        raise ManifestError("at least one study", "none", "Check --root and --images; see the faults of the source.")
    return Written(tally, content.hexdigest(), ids.hexdigest())


def notes_of(
    reader: DatasetReader, checksums: dict[str, str], choices: dict[str, str], journal: Journal, written: Written
) -> PreparedNotes:
    """What ``dataset.json`` says."""
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


def complete(part: Path, notes: PreparedNotes, tally: Tally) -> None:
    """Give the complete files their names and add what describes them."""
    (part / MANIFEST).rename(part / "manifest.jsonl")
    (part / FAULTS).rename(part / "faults.jsonl")
    text = notes.model_dump_json(by_alias=True, indent=2)
    (part / DATASET_FILE).write_text(text + "\n", encoding="utf-8")
    (part / "summary.md").write_text(to_markdown(notes, tally), encoding="utf-8")
    write_plot(part / "summary.png", notes, tally)
    if notes.credentialed:
        (part / ".gitignore").write_text("*\n", encoding="utf-8")  # so that it enters no repository by accident
    for name in (ROWS, NOTE):
        (part / name).unlink()
