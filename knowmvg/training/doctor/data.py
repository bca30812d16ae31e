"""The data of a run: whether it is there, what it holds, and whether its images can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from knowmvg.core.errors import KnowmvgError
from knowmvg.sources.manifest import load_study, read_rows
from knowmvg.training.doctor.finding import Finding, Level
from knowmvg.training.leaks import refuse_leaks
from knowmvg.training.recipe_parts import DataPart
from knowmvg.training.studies import check_place, divided

SAMPLE = 20  # images of each split that are read


def look_at_data(data: DataPart, parts: Path) -> Iterator[Finding]:
    """Counts, fingerprint, leaks, and a sample of images."""
    if not (data.folder / "manifest.jsonl").is_file():
        try:
            check_place(data.folder)
        except KnowmvgError as error:
            yield _problem("data", error)
            return
        said = f"{data.folder} holds no manifest.jsonl: {data.studies:,} studies would be simulated into it"
        yield Finding(Level.NOTE, "data", said, "To look further, make it first: knowmvg phantom, or knowmvg prepare.")
        return
    try:
        studies = divided(data.folder, validation_studies=1)
        rows = list(read_rows(data.folder))
    except KnowmvgError as error:
        yield _problem("data", error)
        return
    counts = Counter(row.split or "no split" for row in rows)
    boxes = sum(len(phrase.boxes) for row in rows for phrase in row.phrases)
    held = ", ".join(f"{split} {number:,}" for split, number in counts.items())
    yield Finding(Level.OK, "data", f"{data.folder}: {held}; {boxes:,} boxes; fingerprint {studies.fingerprint[:12]}")
    told: list[str] = []
    try:
        kept = parts / f"leaks-{studies.fingerprint[:12]}.json"
        found = refuse_leaks(data.folder, kept, told.append, allowed=data.allow_leaks)
        severe = any(leak.kind.severe for leak in found)
        for line in told:
            level = Level.WARNING if severe else Level.OK
            yield Finding(level, "leaks", line.removeprefix("leaks: "), "Tests on it are invalid." if severe else "")
    except KnowmvgError as error:
        yield _problem("leaks", error)
    faults = 0
    for split in counts:
        of_split = [row for row in rows if (row.split or "no split") == split]
        for row in of_split[:: max(1, len(of_split) // SAMPLE)][:SAMPLE]:
            try:
                load_study(data.folder, row)
            except KnowmvgError as error:
                faults += 1
                yield _problem(f"image of study {row.id}", error)
    if not faults:
        yield Finding(Level.OK, "images", f"up to {SAMPLE} images of each split were read without fault")


def _problem(about: str, error: KnowmvgError) -> Finding:
    return Finding(Level.PROBLEM, about, f"expected {error.expected}, got {error.got}", error.todo)
