"""What is checked of every row, whatever reader it comes from: its image, its boxes, its identifier, its sizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from knowmvg.core.errors import ImageError
from knowmvg.sources.datasets.placing import all_inside
from knowmvg.sources.datasets.reader import Fault
from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.image import image_size
from knowmvg.sources.manifest import Box, StudyRow
from knowmvg.sources.prepare.checksums import Checksums
from knowmvg.sources.prepare.names import Names
from knowmvg.sources.prepared import path_within

MAX_REPORT, MAX_PHRASES, MAX_BOXES = 1_000_000, 1_000, 1_000
MISSING_IMAGE = "missing image"
_KNOWN_IMAGES = 4_096


class RowChecks:
    """The checks of one data set; rows come in order and each identifier may come once."""

    def __init__(self, image_root: Path, checksums: Checksums | None = None) -> None:
        self.image_root, self.checksums, self.ids = image_root, checksums, Names()
        self._size = lru_cache(maxsize=_KNOWN_IMAGES)(self._size_on_disk)

    def __call__(self, row: StudyRow) -> tuple[StudyRow, list[Fault]]:
        """The row with its boxes inside its image, and what was mended.

        A row with width and height 0 gets the size of its image. Raises ``UnusableError`` for a row to be left out.
        """
        _check_sizes(row)
        size = self._size(row.image)
        if (row.width, row.height) not in ((0, 0), size):
            detail = f"{size[0]} x {size[1]} pixels in the file, {row.width} x {row.height} in the data set"
            raise UnusableError("wrong image size", detail)
        faults: list[Fault] = []
        phrases = tuple(
            phrase.model_copy(update={"boxes": _placed(phrase.boxes, size, row, faults)}) for phrase in row.phrases
        )
        unmentioned = tuple(
            finding.model_copy(update={"boxes": _placed(finding.boxes, size, row, faults)})
            for finding in row.unmentioned
        )
        if not self.ids.add(row.id):
            raise UnusableError("duplicate identifier", "an earlier study has the same identifier")
        placed = {"width": size[0], "height": size[1], "phrases": phrases, "unmentioned": unmentioned}
        return row.model_copy(update=placed), faults

    def _size_on_disk(self, name: str) -> tuple[int, int]:
        path = path_within(self.image_root, name)
        if path is None:
            detail = "the image is named by a path, or reached by a link, that leads out of the folder of images"
            raise UnusableError("link out of the folder", detail)
        if not path.is_file():
            raise UnusableError(MISSING_IMAGE, f"no {name} in the folder of images")
        try:
            size = image_size(path)
        except ImageError as error:
            raise UnusableError("unreadable image", error.got) from error
        if self.checksums is not None:
            self.checksums.check(path, name)
        return size


def where(row: StudyRow) -> tuple[str, int | None]:
    """File and line that a row comes from, as its ``source`` says; ``manifest`` where it says nothing."""
    file, _, line = (row.source or "").rpartition(":")
    return (file, int(line)) if file and line.isdecimal() else (row.source or "manifest", None)


def left_out(row: StudyRow, reason: UnusableError) -> Fault:
    """The fault of a row that is left out."""
    file, line = where(row)
    return Fault(reason.kind, file, line, reason.detail, kept=False)


def _placed(boxes: Sequence[Box], size: tuple[int, int], row: StudyRow, faults: list[Fault]) -> tuple[Box, ...]:
    if not boxes:
        return ()
    try:
        placed, details = all_inside(boxes, size)
    except ValueError as error:  # NaN or infinity
        raise UnusableError("not finite", "NaN or infinity in a box") from error
    faults += [Fault("box outside", *where(row), detail, kept=True) for detail in details]
    return placed


def _check_sizes(row: StudyRow) -> None:
    """No empty names, no limits passed, every span inside the report."""
    if not (row.id and row.patient and row.image):
        raise UnusableError("empty field", "a study without identifier, patient or image")
    if len(row.report) > MAX_REPORT:
        raise UnusableError("report too long", f"{len(row.report)} characters; at most {MAX_REPORT}")
    if len(row.phrases) > MAX_PHRASES or any(len(phrase.boxes) > MAX_BOXES for phrase in row.phrases):
        raise UnusableError("too much", f"more than {MAX_PHRASES} phrases, or {MAX_BOXES} boxes of one")
    spans = [phrase.span for phrase in row.phrases if phrase.span is not None]
    if any(not 0 <= start < end <= len(row.report) for start, end in spans):
        raise UnusableError("span outside", "a phrase's characters lie outside the report")
