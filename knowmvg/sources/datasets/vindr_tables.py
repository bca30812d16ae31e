"""The tables of VinDr-CXR, rows checked and gathered by image; ``vindr.py`` has the layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from knowmvg.core.errors import ManifestError
from knowmvg.core.records import normalised
from knowmvg.sources.datasets.categories import categories_of
from knowmvg.sources.datasets.gathering import Gathering
from knowmvg.sources.datasets.placing import box_from_xyxy
from knowmvg.sources.datasets.reader import Fault, Places
from knowmvg.sources.datasets.stored import identifier
from knowmvg.sources.datasets.tables import TableRow, UnusableError, find_table, read_columns, read_table
from knowmvg.sources.manifest import Box

DISEASES = ("COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other disease", "Other diseases")
CORNERS = ("x_min", "y_min", "x_max", "y_max")
NOTHING = "No finding"
CONSENSUS = "consensus"


@dataclass(frozen=True, slots=True)
class Part:
    """The files of one official split."""

    split: str
    boxes: Path
    labels: Path | None
    by_reader: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What one row says: a box of a finding, no finding (``says_nothing``), or labels of the whole image.

    A finding without a box had a row that cannot be used: what is left of it would be an incomplete label.
    """

    split: str
    reader: str
    finding: str | None
    box: Box | None
    diseases: tuple[str, ...]
    file: str
    line: int
    says_nothing: bool = False
    broken: tuple[str, str] | None = None

    def __post_init__(self) -> None:  # lists, where it comes from JSON
        object.__setattr__(self, "box", None if self.box is None else tuple(self.box))
        object.__setattr__(self, "diseases", tuple(self.diseases))

    def fault(self, kind: str, detail: str, *, kept: bool = True) -> Fault:
        """The row, mended or left out."""
        return Fault(kind, self.file, self.line, detail, kept)


def check_headers(part: Part) -> None:
    """Raise ``ManifestError`` unless the tables of a part have the columns of the release."""
    next(_boxes(part), None)
    next(_labels(part), None)


def gather(part: Part, images: Gathering) -> Iterator[Fault]:
    """Put the rows of a part with their images, as the fields of ``Seen``."""
    for rows, reading in ((_boxes(part), _seen), (_labels(part), _labelled)):
        for row in rows:
            if isinstance(row, Fault):
                yield row
                continue
            try:
                image = identifier(row.text("image_id"))
                one = reading(part, row)
            except UnusableError as reason:
                yield row.fault(reason)
                continue
            images.add(image, asdict(one))
            yield from _doubts(row, one)


def _seen(part: Part, row: TableRow) -> Seen:
    reader = identifier(row.text("rad_id")) if part.by_reader else CONSENSUS
    name = row.text("class_name")
    nothing = normalised(name) == normalised(NOTHING)
    one = Seen(part.split, reader, None if nothing else name, None, (), row.file, row.line, says_nothing=nothing)
    if nothing:
        return one
    try:
        x1, y1, x2, y2 = (row.number(corner) for corner in CORNERS)
        return replace(one, box=box_from_xyxy(x1, y1, x2, y2))
    except UnusableError as reason:
        return replace(one, broken=(reason.kind, reason.detail))


def _doubts(row: TableRow, one: Seen) -> Iterator[Fault]:
    if one.broken is not None:
        yield row.fault(UnusableError(*one.broken))
    if one.says_nothing and any(row.values[corner].casefold() not in ("", "nan") for corner in CORNERS):
        yield row.mended("box of no finding", "a box beside 'No finding'; dropped")
    if one.finding is not None and not categories_of("vindr-cxr").knows(one.finding):
        yield row.mended("unknown category", "no label of the release; its name is kept, without a finding")


def _labelled(part: Part, row: TableRow) -> Seen:
    reader = identifier(row.text("rad_id")) if part.by_reader else CONSENSUS
    flags = [name for name in DISEASES if row.values.get(name) and row.number(name) > 0]
    return Seen(part.split, reader, None, None, tuple(flags), row.file, row.line)


def _boxes(part: Part) -> Iterator[TableRow | Fault]:
    reader = ["rad_id"] if part.by_reader else []
    return read_table(part.boxes, ["image_id", *reader, "class_name", *CORNERS], optional=["class_id"])


def _labels(part: Part) -> Iterator[TableRow | Fault]:
    """Rows of the image labels. The other columns repeat what the boxes say and are not looked at."""
    if part.labels is None:
        return
    reader = ["rad_id"] if part.by_reader else []
    yield from read_columns(part.labels, ["image_id", *reader], optional=DISEASES)


def find_parts(places: Places) -> tuple[tuple[Part, ...], str, bool]:
    """The tables, the version, and whether it is the set of Kaggle."""
    folders = [places.annotations] if places.annotations else [places.root / "annotations", places.root]
    for folder in folders:
        found = [
            Part(split, boxes, find_table(folder, f"image_labels_{split}.csv"), split == "train")
            for split in ("train", "test")
            if (boxes := find_table(folder, f"annotations_{split}.csv")) is not None
        ]
        if found:
            missing = "" if len(found) == 2 else f", {found[0].split} part only"
            return tuple(found), f"1.0.0 (PhysioNet{missing})", False
        if (boxes := find_table(folder, "train.csv")) is not None:
            return (Part("train", boxes, None, by_reader=True),), "Kaggle 2021 (VinBigData competition)", True
    got = f"neither annotations_train.csv, annotations_test.csv nor train.csv in {' or '.join(map(str, folders))}"
    raise ManifestError("the tables of VinDr-CXR", got, "Give the folder of the release as --root.")
