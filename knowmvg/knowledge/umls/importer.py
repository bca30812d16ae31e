"""From a release in Rich Release Format to one SQLite file that can be looked up.

The rows are streamed into ``<out>.partial``, which a later run takes up again after any kind of end; the finished file
takes its name at the very end, so that a file at ``out`` is always whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from knowmvg.core.errors import KnowledgeError, OutputError
from knowmvg.knowledge.umls.choice import Choice
from knowmvg.knowledge.umls.keep import Keeper
from knowmvg.knowledge.umls.layout import LICENCE, TABLES, Table
from knowmvg.knowledge.umls.release import Release, open_release, stated_rows
from knowmvg.knowledge.umls.rows import Place, read_blocks
from knowmvg.knowledge.umls.schema import DONE, SCHEMA
from knowmvg.knowledge.umls.staging import Staging, drop
from knowmvg.knowledge.umls.terms import KEY_VERSION

Progress = Callable[[str, int, int | None], None]
_COMMIT_BLOCKS = 8
_HEAD_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: ``rows`` read a file, ``left_out`` rows by file and reason, ``resumed`` rows read before."""

    release: str
    rows: dict[str, int]
    left_out: dict[str, int]
    resumed: int
    warnings: tuple[str, ...]


def import_release(
    root: Path,
    out: Path,
    *,
    choice: Choice | None = None,
    name: str | None = None,
    restart: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Imported:
    """Writes the database of the release at ``root`` to ``out``, or goes on with an import that was interrupted.

    Args:
        root: a META folder, the folder around it, one with the archives of a full release, or a ZIP archive.
        out: the file to write.
        choice: which rows; default English names that are not suppressed, of all vocabularies.
        name: the release's name; default what release.dat says.
        restart: drop what an interrupted import left.
        overwrite: replace an earlier database.
        progress: told the stage, and how much of it is done: MiB as stored, or steps of sorting.

    Raises:
        KnowledgeError: the release is incomplete or malformed (then nothing of the import is left), nothing of it is
            wanted, or the interrupted import was of another release or choice.
        OutputError: ``out`` exists or cannot be written.
    """
    choice = choice or Choice()
    if out.is_dir() or (out.exists() and not overwrite):
        raise OutputError("a new file", f"{out} exists", "Give another name, or --overwrite.")
    if not out.parent.is_dir():
        raise OutputError("an existing folder", f"none at {out.parent}", "Make it first.")
    release = open_release(root, name)
    if release.name is None:
        raise KnowledgeError("the release's name", f"no release.dat in {root}", "Give it with --release, as 2025AB.")
    partial, building = out.with_name(f"{out.name}.partial"), out.with_name(f"{out.name}.building")
    try:
        if restart:
            drop(partial)
        building.unlink(missing_ok=True)  # what was killed while it was sorted is sorted again
        with Staging.opened(partial) as staging:
            resumed = _check_plan(staging, _plan(release, choice))
            malformed = None
            try:
                for table in TABLES:
                    _read(release, table, staging, choice, progress)
            except KnowledgeError as error:
                malformed = error
            else:
                for step in staging.build(building, _about(release, choice, staging)):
                    progress("sorting and indexing", step, len(DONE))
                result = _result(release, choice, staging, resumed)
        if malformed is not None:  # the same rows would be met again
            drop(partial)
            raise malformed
        with building.open("rb+") as file:
            os.fsync(file.fileno())
        building.replace(out)
        drop(partial)
    except OSError as error:
        raise OutputError(f"a file that can be written at {out}", str(error.strerror), "Choose another one.") from error
    finally:
        building.unlink(missing_ok=True)
    return result


def _plan(release: Release, choice: Choice) -> dict[str, Any]:
    """What must be the same for an import to be taken up again."""
    parts = [
        [table.file, part.name, part.bytes, _head(part.path)] for table in TABLES for part in release.parts[table.file]
    ]
    return {"schema": SCHEMA, "keys": KEY_VERSION, "release": release.name, "choice": _plain(choice), "parts": parts}


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.blake2b(file.read(_HEAD_BYTES), digest_size=16).hexdigest()


def _plain(choice: Choice) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(choice).items()}


def _check_plan(staging: Staging, plan: dict[str, Any]) -> int:
    """The rows that an earlier run has read."""
    if staging.plan not in (None, plan):
        raise KnowledgeError(
            "the release and the options of the interrupted import",
            f"others than those of {staging.path.name}",
            "Give the same ones, or --restart to begin again.",
        )
    staging.plan = plan
    return sum(place.rows for place in staging.places.values())


def _read(release: Release, table: Table, staging: Staging, choice: Choice, progress: Progress) -> None:
    parts, stage = release.parts[table.file], f"{table.file} (MiB)"
    total = max(sum(part.bytes for part in parts) >> 20, 1)
    if table.file in staging.finished:
        progress(stage, total, total)
        return
    keeper = Keeper(choice, staging.labels, staging.left_out, staging.spoken)
    staging.begin()
    for number, block in enumerate(read_blocks(table, parts, staging.places.get(table.file, Place())), 1):
        staging.add(table, keeper.keep(table, block), block.end)
        if number % _COMMIT_BLOCKS == 0:
            staging.commit()
            staging.begin()
            progress(stage, min(block.stored >> 20, total), total)
    read, stated = staging.places.get(table.file, Place()).rows, stated_rows(release).get(table.file)
    if stated is not None and read != stated:
        raise KnowledgeError(
            f"{stated} rows in {table.file}, as MRFILES.RRF states", f"{read}", "Copy or write the release again."
        )
    if table is TABLES[0] and not staging.spoken:
        raise KnowledgeError(
            f"names in {', '.join(choice.languages)} of {', '.join(choice.sources) or 'any vocabulary'}",
            f"none in {read} rows of {table.file}",
            "Check the languages and vocabularies; subsets hold those chosen in MetamorphoSys.",
        )
    staging.finished.add(table.file)
    staging.commit()
    progress(stage, total, total)


def _about(release: Release, choice: Choice, staging: Staging) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "keys": KEY_VERSION,
        "licence": LICENCE,
        "release": release.name,
        "choice": _plain(choice),
        "rows": {file: place.rows for file, place in staging.places.items()},
        "left_out": dict(staging.left_out),
    }


def _result(release: Release, choice: Choice, staging: Staging, resumed: int) -> Imported:
    spoken = {text for text, number in staging.labels.items() if number in staging.spoken}
    absent = [source for source in choice.sources if source not in spoken]
    warnings = [f"no name of the vocabulary {source} is in the release" for source in absent]
    rows = {file: place.rows for file, place in staging.places.items()}
    return Imported(str(release.name), rows, dict(staging.left_out), resumed, tuple(warnings))
