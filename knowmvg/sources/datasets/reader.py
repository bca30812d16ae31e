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
    made from them is written to a folder that is meant to be shared, unless the user says so. ``notes`` are facts that
    a user of the rows must know (no reports were given, say); they stand in ``dataset.json`` and in the summary.
    ``named`` says that every phrase is the name of one of few categories, which tables may show where it has no
    finding.
    """

    name: str
    version: str
    licence: str
    credentialed: bool
    source: str
    notes: tuple[str, ...] = ()
    named: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with one row of a source file. The reader goes on; ``prepare`` decides whether that is allowed.

    ``kind`` is a short name that is counted in the summary (``missing image``, ``box outside``, ``duplicate row``);
    ``row`` is the line of ``file``, from 1 with the header (in JSON the place in its list, from 1); ``detail`` never
    holds text of a report or of a phrase. ``kept`` says that the row was mended (a box clipped, a repeated row counted
    once). What was left out (``kept`` false) stops ``prepare`` with a ``ManifestError`` of this file and row, unless
    the user said ``--skip-faulty``. A file that does not follow the published layout is a ``ManifestError`` of the
    reader itself.
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
    those of the release. ``image_root`` is the folder that the rows' ``image`` paths are relative to. ``files`` are the
    annotation files: they are compared with their published checksums, and a preparation that was cut off is taken up
    again only while they are the same.

    A reader need not look at the images: ``prepare`` checks that each exists inside ``image_root`` and has the size
    that its row says. A row with ``width`` and ``height`` 0 gets the size of the image's header, and its boxes are then
    clipped to it.
    """

    @property
    def facts(self) -> DatasetFacts:
        """What is known of the data set."""
        ...

    @property
    def image_root(self) -> Path:
        """The folder that the rows' images are relative to."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation files that are read."""
        ...

    def read(self) -> Iterator[StudyRow | Fault]:
        """The studies in the order of the source, with faults between them; memory does not grow with their number.

        The same files give the same order. ``split`` of a row is the official one, or empty where there is none.

        Raises:
            ManifestError: a file that cannot be read on, with its name and line.
        """
        ...
