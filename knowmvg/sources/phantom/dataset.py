"""Writes a data set of simulated studies: the same bytes for a seed, whatever the number of workers.

The folder grows beside its final place and is moved there when it is complete. A run that was broken off is taken up
again by the same call: patients that are finished are not simulated twice.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from knowmvg import __version__
from knowmvg.core.errors import OutputError, RecipeError
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.phantom.cohort import SPLITS, Member, ScenesOf, sample_cohort, simulate_patient, write_member
from knowmvg.sources.whole_folder import check_free, move_into_place, partial_folder

DATASET_SCHEMA = "knowmvg.dataset/1"
MIN_SIZE, MAX_SIZE = 64, 2048
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What ``dataset.json`` says of a data set; ``counts`` is by split: patients, studies, phrases, findings."""

    schema: str
    knowmvg: str
    seed: int
    studies: int
    size: int
    splits: tuple[float, ...]
    counts: dict[str, dict[str, Any]]
    fingerprint: str


def write_dataset(
    out: Path,
    *,
    studies: int,
    seed: int,
    size: int = 256,
    workers: int | None = None,
    splits: Sequence[float] = (0.7, 0.1, 0.2),
    progress: Progress | None = None,
    overwrite: bool = False,
    scenes_of: ScenesOf = simulate_patient,
) -> Summary:
    """Write ``studies`` simulated studies of 1 to 3 a patient into the new folder ``out``.

    Args:
        out: folder in the layout of knowmvg.sources.manifest, plus ``dataset.json``.
        studies: how many studies in all.
        seed: decides every byte.
        size: side of the square images in pixels.
        workers: processes; the number of processors if ``None``, and 1 stays in this process.
        splits: shares of train, val and test, by studies; no patient is in two of them.
        progress: called with (studies done, studies in all) after each patient.
        overwrite: replace ``out`` if it is a data set already.
        scenes_of: makes the studies of a patient from (generator, number, size); must be importable by the workers.

    Raises:
        RecipeError: for numbers that make no data set.
        OutputError: if ``out`` exists (and may not be replaced) or cannot be written.
    """
    shares = _checked(studies, seed, size, workers, splits)
    check_free(out, overwrite=overwrite)
    part = partial_folder(out)
    try:
        settings = {"studies": studies, "seed": seed, "size": size, "splits": shares, "knowmvg": __version__}
        _prepare(part, json.dumps(settings))
        cohort = list(sample_cohort(part, studies, seed, size, shares, scenes_of))
        _run(cohort, workers or os.cpu_count() or 1, studies, progress)
        summary = _finish(part, cohort, settings)
        move_into_place(part, out)
    except OSError as error:
        todo = "Make room or choose another folder; the same call goes on where this one stopped."
        got = error.strerror or str(error)
        raise OutputError(f"a folder that can be written at {out}", got, todo) from error
    except BrokenProcessPool as error:
        todo = "Use fewer workers; the same call goes on where this one stopped."
        raise OutputError("worker processes that live", "one that was killed", todo) from error
    return summary


def _checked(studies: int, seed: int, size: int, workers: int | None, splits: Sequence[float]) -> tuple[float, ...]:
    if studies < 1:
        raise RecipeError("at least 1 study", str(studies), "Ask for more studies.")
    if seed < 0:
        raise RecipeError("a seed of 0 or more", str(seed), "Choose another seed.")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise RecipeError(f"a size from {MIN_SIZE} to {MAX_SIZE} pixels", str(size), "Choose another size.")
    if workers is not None and workers < 1:
        raise RecipeError("at least 1 worker", str(workers), "Leave it out to use every processor.")
    shares = tuple(float(share) for share in splits)
    if len(shares) != len(SPLITS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise RecipeError("three shares that sum to 1", str(shares), "Give train, val and test, such as 0.7 0.1 0.2.")
    return shares


def _prepare(part: Path, settings: str) -> None:
    """Keep the work of a broken run with these settings, clear that of another."""
    note = part / "settings.json"
    if part.exists() and not (note.is_file() and note.read_text(encoding="utf-8") == settings):
        shutil.rmtree(part)
    for name in ("images", "masks", "done"):
        (part / name).mkdir(parents=True, exist_ok=True)
    note.write_text(settings, encoding="utf-8")


def _run(cohort: Sequence[Member], workers: int, total: int, progress: Progress | None) -> None:
    waiting = [member for member in cohort if not member.done.is_file()]
    finished = total - sum(member.studies for member in waiting)
    if progress:
        progress(finished, total)
    for done in _worked(waiting, min(workers, max(1, len(waiting)))):
        finished += done
        if progress:
            progress(finished, total)


def _worked(waiting: Sequence[Member], workers: int) -> Iterator[int]:
    if workers == 1:
        yield from map(write_member, waiting)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(write_member, waiting, chunksize=min(8, 1 + len(waiting) // (4 * workers)))


def _finish(part: Path, cohort: Sequence[Member], settings: dict[str, Any]) -> Summary:
    """Join the patients' lines in order, write manifest and summary, clear the marks of progress."""
    state = hashlib.sha256()
    rows = []
    with (part / "manifest.jsonl").open("w", encoding="utf-8", newline="\n") as manifest:
        for member in cohort:
            for line in json.loads(member.done.read_text(encoding="utf-8")):
                manifest.write(line["row"] + "\n")
                state.update(f"{line['row']}\n{line['pixels']}\n".encode())
                rows.append(StudyRow.model_validate_json(line["row"]))
    summary = Summary(DATASET_SCHEMA, counts=_counts(rows), fingerprint=state.hexdigest(), **settings)
    (part / "dataset.json").write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(part / "done")
    (part / "settings.json").unlink()
    return summary


def _counts(rows: Sequence[StudyRow]) -> dict[str, dict[str, Any]]:
    counts = {}
    for split in SPLITS:
        mine = [row for row in rows if row.split == split]
        phrases = [phrase for row in mine for phrase in row.phrases]
        counts[split] = {
            "patients": len({row.patient for row in mine}),
            "studies": len(mine),
            "phrases": len(phrases),
            "boxes": sum(len(phrase.boxes) for phrase in phrases),
            "assertions": dict(sorted(Counter(phrase.assertion.value for phrase in phrases).items())),
            "findings": dict(sorted(Counter(str(phrase.finding) for phrase in phrases if phrase.boxes).items())),
            "unmentioned": sum(len(row.unmentioned) for row in mine),
        }
    return counts
