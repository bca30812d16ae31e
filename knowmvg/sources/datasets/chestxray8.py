"""ChestX-ray8: 984 boxes of eight findings on 880 radiographs of 1024 x 1024 pixels.

Wang et al., CVPR 2017; NIH Clinical Center. ``BBox_List_2017.csv`` has six fields under the header
``Image Index,Finding Label,Bbox [x,y,w,h]``, whose brackets span four columns, and in the original release three more
without a name that are empty. Boxes are left, top, width and height. Images are PNG files named by patient and number
(``00013118_008.png``), in one folder or in ``images_001/images`` to ``images_012/images`` as the archives unpack.

The set has labels and no reports: a study's text is its findings in words, and no side or zone is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.categories import categories_of
from knowmvg.sources.datasets.placing import box_from_xywh, inside
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.tables import TableRow, UnusableError, find_table, read_table
from knowmvg.sources.datasets.wording import joined_report
from knowmvg.sources.manifest import Box, PhraseRow, StudyRow

TABLE = "BBox_List_2017.csv"
COLUMNS = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")
SIDE = 1024

_NAME = re.compile(r"([0-9]{8})_[0-9]{3}\.png", re.ASCII)
_PARTS = tuple(f"images_{number:03d}/images" for number in range(1, 13))


def open_chestxray8(places: Places, options: Mapping[str, str]) -> ChestXray8:
    """The reader of ``BBox_List_2017.csv`` in ``--root`` (or ``--annotations``) over the images of ``--images``.

    Raises ``ManifestError`` where the table is missing or has another header.
    """
    table = places.annotations or find_table(places.root, TABLE)
    if table is None:
        got, todo = f"none in {places.root}", "Name the folder of the download with --root."
        raise ManifestError(f"{TABLE}, gzip or not", got, todo)
    return ChestXray8(table, places.images or places.root)


@dataclass(slots=True)
class _Drawn:
    source: str
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


class ChestXray8:
    """The reader of the table of boxes. It is small and held in memory."""

    def __init__(self, table: Path, images: Path) -> None:
        self.image_root, self.files = images, (table,)
        self.facts = DatasetFacts(
            name="ChestX-ray8",
            version="2017",
            licence="no restrictions on use; name the NIH Clinical Center and cite Wang et al., CVPR 2017",
            credentialed=False,
            source="https://nihcc.app.box.com/v/ChestXray-NIHCC",
            notes=("The set has no reports: the text of a study is its findings in words.",),
        )
        self._folders = ("", "images", *(part for part in _PARTS if (images / part).is_dir()))
        next(read_table(table, COLUMNS), None)  # the header is that of the release, or this says so

    def read(self) -> Iterator[StudyRow | Fault]:
        """A study for each image with boxes, in the order of the file; the faults of the file come first."""
        images: dict[str, _Drawn] = {}
        for row in read_table(self.files[0], COLUMNS):
            if isinstance(row, Fault):
                yield row
                continue
            try:
                yield from _take(row, images)
            except UnusableError as reason:
                yield row.fault(reason)
        for name, drawn in images.items():
            boxes = {label: found for label, found in drawn.boxes.items() if label not in drawn.broken}
            if boxes:
                yield self._study(name, drawn.source, boxes)

    def _study(self, name: str, source: str, boxes: Mapping[str, list[Box]]) -> StudyRow:
        phrases = {finding: finding.capitalize() for finding in boxes}
        text, places = joined_report(phrases.values())
        return StudyRow(
            id=name.removesuffix(".png"),
            patient=name[:8],
            split="",
            image=self._image(name),
            width=SIDE,
            height=SIDE,
            report=text,
            phrases=tuple(
                PhraseRow(
                    text=phrases[finding],
                    span=places[phrases[finding]].span,
                    finding=finding,
                    boxes=tuple(sorted(found)),
                )
                for finding, found in boxes.items()
            ),
            source=source,
        )

    def _image(self, name: str) -> str:
        """The image relative to ``image_root``; where it is nowhere, ``prepare`` misses it under its bare name."""
        paths = (f"{folder}/{name}".lstrip("/") for folder in self._folders)
        return next((path for path in paths if (self.image_root / path).is_file()), name)


def _take(row: TableRow, images: dict[str, _Drawn]) -> Iterator[Fault]:
    """Put a box with its image. Raises ``UnusableError``; the finding of that image is then broken as a whole."""
    name, label = row.text("Image Index"), row.text("Finding Label")
    if not _NAME.fullmatch(name):
        raise UnusableError("wrong identifier", "expected an image index such as 00000001_000.png")
    finding = categories_of("chestx-ray8").finding(label)
    if finding is None:
        raise UnusableError("unknown category", "none of the eight labels of the set")
    drawn = images.setdefault(name, _Drawn(row.source))
    boxes = drawn.boxes.setdefault(finding, [])
    try:
        left, top, width, height = (row.number(column) for column in COLUMNS[2:])
        box, outside = inside(box_from_xywh(left, top, width, height), (SIDE, SIDE))
    except UnusableError:
        drawn.broken.add(finding)
        raise
    if box in boxes:
        yield row.mended("duplicate row", "the same image, finding and box as an earlier row; counted once")
        return
    if outside is not None:
        yield row.mended("box outside", outside)
    boxes.append(box)
