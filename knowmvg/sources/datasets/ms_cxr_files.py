"""The two files of MS-CXR, a table and a COCO file, to the same annotations: one box of one phrase on one image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.mimic_cxr import MimicImage, mimic_image
from knowmvg.sources.datasets.official_split import official_split
from knowmvg.sources.datasets.placing import box_from_xywh, image_side
from knowmvg.sources.datasets.reader import Fault
from knowmvg.sources.datasets.tables import TableRow, UnusableError, finite, read_table
from knowmvg.sources.datasets.wording import MAX_PHRASE
from knowmvg.sources.manifest import Box

COLUMNS = ("category_name", "label_text", "path", "x", "y", "w", "h", "image_width", "image_height", "dicom_id")
MAX_BYTES = 256 * 2**20
_BOX = ("x", "y", "w", "h")
_RESTORE = "Restore the published file, or correct it."


@dataclass(frozen=True, slots=True)
class Annotation:
    """One box as the file gives it, ``xywh`` unchecked; ``row`` is its line, in JSON its place among annotations."""

    file: str
    row: int
    image: MimicImage
    size: tuple[int, int]
    category: str
    text: str
    split: str
    xywh: tuple[object, object, object, object]

    @property
    def source(self) -> str:
        """File and row, as ``StudyRow.source`` wants them."""
        return f"{self.file}:{self.row}"

    def box(self) -> Box:
        """``(x1, y1, x2, y2)``. Raises ``UnusableError`` for a coordinate that is no number, or no area."""
        left, top, width, height = (finite(value, name) for value, name in zip(self.xywh, _BOX, strict=True))
        return box_from_xywh(left, top, width, height)

    def fault(self, reason: UnusableError) -> Fault:
        """The row as left out."""
        return Fault(reason.kind, self.file, self.row, reason.detail, kept=False)

    def mended(self, kind: str, detail: str) -> Fault:
        """The row as kept."""
        return Fault(kind, self.file, self.row, detail, kept=True)


def read_csv(path: Path, *, split: bool) -> Iterator[Annotation | Fault]:
    """The rows of the table; ``split`` says whether the release has that column.

    Raises ``ManifestError`` for a file that is not in the published layout.
    """
    for row in read_table(path, (*COLUMNS, "split") if split else COLUMNS):
        if isinstance(row, Fault):
            yield row
            continue
        try:
            yield _of_row(row)
        except UnusableError as reason:
            yield row.fault(reason)


def _of_row(row: TableRow) -> Annotation:
    width = image_side(row.number("image_width"), "image_width")
    height = image_side(row.number("image_height"), "image_height")
    return Annotation(
        file=row.file,
        row=row.line,
        image=_image(row.text("path"), row.text("dicom_id")),
        size=(width, height),
        category=row.text("category_name"),
        text=_phrase(row.text("label_text")),
        split=official_split(row.text("split")) if "split" in row.values else "",
        xywh=(row.values["x"], row.values["y"], row.values["w"], row.values["h"]),
    )


def read_json(path: Path, *, split: bool) -> Iterator[Annotation | Fault]:
    """The annotations of the COCO file; ``split`` says whether the release has one with each.

    Raises ``ManifestError`` for a file that is not in the published layout.
    """
    data = _loaded(path)
    categories = {_key(path, item): item.get("name") for item in _listed(path, data, "categories")}
    images = {_key(path, item): item for item in _listed(path, data, "images")}
    for row, item in enumerate(_listed(path, data, "annotations"), 1):
        try:
            yield _of_item(path.name, row, item, images, categories, split)
        except UnusableError as reason:
            yield Fault(reason.kind, path.name, row, reason.detail, kept=False)


def _of_item(
    file: str,
    row: int,
    item: Mapping[str, Any],
    images: Mapping[Any, Mapping[str, Any]],
    categories: Mapping[Any, Any],
    split: bool,
) -> Annotation:
    image, category = _referred(item, "image_id", images), _referred(item, "category_id", categories)
    box = item.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise UnusableError("wrong type", "bbox is no list of four numbers")
    width = image_side(finite(image.get("width"), "width of the image"), "width of the image")
    height = image_side(finite(image.get("height"), "height of the image"), "height of the image")
    dicom = PurePosixPath(_string(image, "file_name")).stem
    return Annotation(
        file=file,
        row=row,
        image=_image(_string(image, "path"), dicom),
        size=(width, height),
        category=_string({"category": category}, "category"),
        text=_phrase(_string(item, "label_text")),
        split=official_split(_string(item, "split")) if split else "",
        xywh=(box[0], box[1], box[2], box[3]),
    )


def _image(path: str, dicom: str) -> MimicImage:
    """The image of ``files/p10/p10000032/s50414267/<dicom_id>.jpg``. Raises ``UnusableError`` for another path."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if len(parts) < 3:
        raise UnusableError("wrong path", "expected files/pNN/pNNNNNNNN/sNNNNNNNN/<dicom_id>.jpg")
    image = mimic_image(parts[-3], parts[-2], dicom)
    if tuple(part.casefold() for part in parts[-5:]) != PurePosixPath(image.path).parts:
        raise UnusableError("wrong path", "expected files/pNN/pNNNNNNNN/sNNNNNNNN/<dicom_id>.jpg of the row's dicom_id")
    return image


def _phrase(text: str) -> str:
    if len(text) > MAX_PHRASE:
        raise UnusableError("phrase too long", f"more than {MAX_PHRASE} characters")
    return text


def _loaded(path: Path) -> dict[str, Any]:
    expected = "a COCO file of MS-CXR"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"{expected} of at most {MAX_BYTES >> 20} MiB", f"more at {path}", _RESTORE)
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ManifestError(expected, f"{type(error).__name__} at {path}{place}", _RESTORE) from error
    if not isinstance(data, dict):
        raise ManifestError(expected, f"no JSON object in {path}", _RESTORE)
    return data


def _listed(path: Path, data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    items = data.get(name)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ManifestError(f"a list of objects {name!r}", f"none in {path}", _RESTORE)
    return items


def _key(path: Path, item: Mapping[str, Any]) -> str | int:
    key = item.get("id")
    if isinstance(key, (str, int)):
        return key
    raise ManifestError("an id for each image and category", f"one without in {path}", _RESTORE)


def _referred(item: Mapping[str, Any], name: str, known: Mapping[Any, Any]) -> Any:
    key = item.get(name)
    if not isinstance(key, (str, int)) or key not in known:
        raise UnusableError("unknown reference", f"{name} names nothing in the file")
    return known[key]


def _string(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value.strip():
        raise UnusableError("wrong type" if value else "empty field", f"no text in {name!r}")
    if not value.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UnusableError("wrong type", f"half a character (a lone surrogate) in {name!r}")
    return value.strip()
