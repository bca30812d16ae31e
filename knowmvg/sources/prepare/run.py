"""``prepare``: what a reader gives, checked and written as a data set folder of manifest, notes and summary.

Two passes, each a row at a time. The first takes rows and faults from the reader, checks them and appends them to
partial files (``journal.py``), from which a run that was cut off goes on. The second gives each row its split, counts
it and writes the manifest. The folder is moved into its place when everything in it is complete.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowmvg import __version__
from knowmvg.core.errors import OutputError
from knowmvg.sources.datasets.reader import DatasetReader
from knowmvg.sources.prepare.checks import RowChecks
from knowmvg.sources.prepare.checksums import CHANGED, Checksums, changed_file, published
from knowmvg.sources.prepare.collect import Collector, Progress, RowTransform
from knowmvg.sources.prepare.journal import NOTE, Journal
from knowmvg.sources.prepare.tally import Tally
from knowmvg.sources.prepare.write import SplitAssignment, complete, notes_of, write_manifest
from knowmvg.sources.prepared import PreparedNotes
from knowmvg.sources.whole_folder import check_free, move_into_place, partial_folder


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
        assign: shown all rows once, gives what names the split of a row; without it rows keep their own.
        made_with: how the two were chosen, for the notes; another choice does not take up an earlier run.
        progress: called with a stage, how much of it is done and, if known, of how much.

    Raises:
        ManifestError: a fault without ``skip_faulty``, with its file and row; no study at all.
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
            Collector(checks, journal, transform, skip_faulty).collect(reader, changed, told)
            written = write_manifest(part, journal, assign, told, named=reader.facts.named)
            notes = notes_of(reader, checksums, choices, journal, written)
        complete(part, notes, written.tally)
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
