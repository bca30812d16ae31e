"""The splits of a data set and what a list of ids may name."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from knowmvg.core.errors import ManifestError
from knowmvg.sources.manifest import StudyRow

Split: TypeAlias = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
UNUSED = ""
"""The split of a study that is kept in the manifest and is in none: nothing trains or tests on it."""

_OFFICIAL: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class Unit(StrEnum):
    """What the ids of a list name."""

    PATIENT = "patient"
    STUDY = "study"
    IMAGE = "image"


def usual_split(published: str) -> Split | None:
    """A data set's own word for a split (``validate``, ``Training``) as ours; ``None`` for any other word."""
    return _OFFICIAL.get(published.strip().casefold())


def official_split(published: str) -> Split:
    """``usual_split``, or a ``ManifestError`` for another word."""
    split = usual_split(published)
    if split is None:
        raise ManifestError(
            "train, validate or test, or a usual word for one of them",
            f"the split {published[:40]!r}",
            "Give lists of ids instead: knowmvg splits FOLDER --ids FILE.",
        )
    return split


def ids_of(row: StudyRow, unit: Unit) -> tuple[str, ...]:
    """The ways in which a list may name the row: of an image its path, its file name, and that without its ending."""
    if unit is Unit.PATIENT:
        return (row.patient,)
    if unit is Unit.STUDY:
        return (row.id,)
    path = PurePosixPath(row.image.replace("\\", "/"))
    return (row.image, path.name, path.name.partition(".")[0] or path.name)
