"""The studies of a run: read, or simulated where they are missing, divided, and looked through for leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from knowmvg.core.errors import ManifestError
from knowmvg.sources.manifest import StudyRow, read_rows
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training.hardware import made_once
from knowmvg.training.leaks import refuse_leaks
from knowmvg.training.recipe_parts import DataPart

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainingStudies:
    """A data set folder, its rows to learn from and to validate on, and the SHA-256 of its manifest."""

    folder: Path
    train: list[StudyRow]
    valid: list[StudyRow]
    fingerprint: str


def open_studies(data: DataPart, validation_studies: int, parts: Path, report: Report) -> TrainingStudies:
    """The studies that a recipe names; ``parts`` keeps what was found about leaks.

    Raises:
        ManifestError: a split is empty, or there is no data set and none is to be simulated.
        LeakError: patients or images are in two splits, and the recipe does not allow it.
        OutputError: simulated studies cannot be written.
    """
    lock = data.folder.with_name(f".{data.folder.name}.lock")
    if data.studies == 0 and not (data.folder / "manifest.jsonl").is_file():
        todo = "Prepare your copy of it: knowmvg prepare (docs/data.md)."
        raise ManifestError("a prepared data set", f"no manifest.jsonl in {data.folder}", todo)

    check_place(data.folder)

    def simulate() -> None:
        report(f"data: simulating {data.studies} studies into {data.folder}")
        write_dataset(
            data.folder,
            studies=data.studies,
            seed=data.seed,
            size=data.size,
            splits=data.splits,
            progress=_every(report, 1000),
        )

    made_once(data.folder / "manifest.jsonl", simulate, lock)
    studies = divided(data.folder, validation_studies)
    kept = parts / f"leaks-{studies.fingerprint[:12]}.json"

    def look_for_leaks() -> None:
        refuse_leaks(data.folder, kept, lambda _: None, allowed=True)

    made_once(kept, look_for_leaks, lock)
    refuse_leaks(data.folder, kept, report, allowed=data.allow_leaks)
    return studies


def check_place(folder: Path) -> None:
    """Raise ``ManifestError`` for a place that holds something else than a data set, and is not free for one."""
    if (folder / "manifest.jsonl").is_file() or not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        got = f"other files in {folder}" if folder.is_dir() else f"the file {folder}"
        todo = "Correct data.folder, or make a data set of your own files: knowmvg prepare (docs/data.md)."
        raise ManifestError("a data set with manifest.jsonl, or a new folder to simulate one into", got, todo)


def divided(folder: Path, validation_studies: int) -> TrainingStudies:
    """A data set by its splits. Raises ``ManifestError`` where there is nothing in train or val."""
    rows = list(read_rows(folder))
    train = [row for row in rows if row.split == "train"]
    valid = [row for row in rows if row.split == "val"]
    if not train or not valid:
        found = f"{len(train)} and {len(valid)} in {folder}"
        raise ManifestError("studies in the splits train and val", found, "Divide them: knowmvg splits FOLDER.")
    manifest = (folder / "manifest.jsonl").read_bytes()
    return TrainingStudies(folder, train, valid[:validation_studies], hashlib.sha256(manifest).hexdigest())


def _every(report: Report, step: int) -> Callable[[int, int], None]:
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done - told >= step or done == total:
            told = done
            report(f"data: {done}/{total}")

    return progress
