"""What a reader of a data set gives: rows of the manifest, and the faults that it met on the way.

A reader turns one published layout into ``StudyRow`` records, one at a time, and knows nothing of what happens to them
(splits, text modes, the file they are written to: ``prepare``). Boxes are xyxy in the pixels of the stored image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from knowmvg.sources.manifest import StudyRow


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What a prepared data set says of its origin.

    ``credentialed`` data may not leave the user's machine: text of theirs is never sent to an endpoint, and nothing
    made from them is written to a folder that is meant to be shared, unless the user says so.
    """

    name: str
    version: str
    licence: str
    credentialed: bool
    source: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with one row of a source file that does not stop the reading.

    ``kind`` is a short name that is counted in the summary (``missing image``, ``box outside``, ``duplicate row``);
    ``row`` is the line of ``file``, from 1 with the header; ``kept`` says whether the row was mended or left out.
    A file or row that does not follow the published layout at all is a ``ManifestError`` instead.
    """

    kind: str
    file: str
    row: int | None
    detail: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Places:
    """Where the user's copy lies. ``images`` and ``reports`` are given where they are kept apart from ``root``."""

    root: Path
    images: Path | None = None
    reports: Path | None = None
    annotations: Path | None = None


class DatasetReader(Protocol):
    """One data set of one release.

    ``facts`` is known once the reader is made; making it checks that the files are there and that their headers are
    those of the release. ``image_root`` is the folder that the rows' ``image`` paths are relative to.
    """

    facts: DatasetFacts
    image_root: Path

    def read(self) -> Iterator[StudyRow | Fault]:
        """The studies in the order of the source, with faults between them; memory does not grow with their number.

        ``split`` of a row is the official one, or empty where the data set has none.

        Raises:
            ManifestError: a row that does not follow the layout, with its file and line.
        """
        ...
