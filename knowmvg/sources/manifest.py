"""The project's own data format: a folder with ``manifest.jsonl``, images and, where known, masks.

One line a study, schema ``knowmvg.manifest/1``; boxes are xyxy in the pixels of the stored image::

    {"schema": "knowmvg.manifest/1", "id": "p000012-0", "patient": "p000012", "split": "train",
     "image": "images/p000012-0.png", "width": 256, "height": 256, "report": "FINDINGS: ...",
     "phrases": [{"text": "small left pleural effusion", "span": [10, 37], "section": "findings",
                  "assertion": "present", "finding": "pleural effusion", "side": "left", "zone": null,
                  "boxes": [[150.0, 170.5, 220.0, 240.0]], "mask_bits": [8]}],
     "masks": "masks/p000012-0.png",
     "anatomy_bits": {"right lung": 0, "left lung": 1, "heart": 2},
     "unmentioned": [{"finding": "nodule", "side": "right", "zone": "upper", "boxes": [[...]], "mask_bits": [9]}]}

``image`` is relative to the folder, or, in a prepared data set, to the ``image_root`` that ``dataset.json`` names
(``prepared.py``). ``masks`` is a 16-bit grey PNG of the image's size: bit ``k`` of a pixel says whether structure ``k``
covers it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowmvg.core.errors import ManifestError
from knowmvg.core.records import Assertion, LabelledPhrase, Phrase, Section, Side, Study
from knowmvg.sources.image import read_radiograph
from knowmvg.sources.prepared import image_path

MANIFEST_SCHEMA = "knowmvg.manifest/1"
Box = tuple[float, float, float, float]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhraseRow(_Row):
    """A phrase of the report with its boxes; ``mask_bits`` names one plane of the mask image a box."""

    text: str
    span: tuple[int, int] | None = None
    section: Section = Section.UNHEADED
    assertion: Assertion = Assertion.PRESENT
    finding: str | None = None
    side: Side | None = None
    zone: str | None = None
    boxes: tuple[Box, ...] = ()
    mask_bits: tuple[int, ...] = ()

    def phrase(self) -> Phrase:
        """The phrase without its labels."""
        return Phrase(**self.model_dump(exclude={"boxes", "mask_bits"}))


class UnmentionedRow(_Row):
    """A finding on the image that the report does not mention."""

    finding: str
    side: Side | None = None
    zone: str | None = None
    boxes: tuple[Box, ...] = ()
    mask_bits: tuple[int, ...] = ()


class StudyRow(_Row):
    """One line of a manifest; ``view`` is the projection as the source names it, ``source`` its file and line there."""

    schema_: str = Field(default=MANIFEST_SCHEMA, alias="schema")
    id: str
    patient: str
    split: str
    image: str
    width: int
    height: int
    report: str
    phrases: tuple[PhraseRow, ...] = ()
    masks: str | None = None
    anatomy_bits: dict[str, int] = Field(default_factory=dict)
    unmentioned: tuple[UnmentionedRow, ...] = ()
    view: str | None = None
    source: str | None = None


def read_rows(folder: Path, split: str | None = None) -> Iterator[StudyRow]:
    """The lines of ``folder/manifest.jsonl``, of one split if given.

    Raises ``ManifestError`` for a missing file or a line that does not follow the schema.
    """
    path = folder / "manifest.jsonl"
    if not path.is_file():
        raise ManifestError(
            "a data set folder with manifest.jsonl",
            f"none at {path}",
            "Write one with `knowmvg phantom` or `knowmvg prepare`.",
        )
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = StudyRow.model_validate(json.loads(line))
            except (ValidationError, ValueError) as error:
                reason = _what_is_wrong(error)
                raise ManifestError(
                    f"a {MANIFEST_SCHEMA} study in line {number} of {path}",
                    reason,
                    "Correct the line or rewrite the data set.",
                ) from error
            if row.schema_ != MANIFEST_SCHEMA:
                raise ManifestError(
                    f"schema {MANIFEST_SCHEMA}", f"{row.schema_} in line {number} of {path}", "Convert the data set."
                )
            if split is None or row.split == split:
                yield row


def _what_is_wrong(error: ValueError) -> str:
    """The first faults of a line by their keys, without its values."""
    if not isinstance(error, ValidationError):
        return str(error).splitlines()[0]
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{fault['msg'].lower()} at {'.'.join(map(str, fault['loc'])) or 'the line'}" for fault in faults[:3]]
    return "; ".join(told) + (f"; {len(faults) - 3} more" if len(faults) > 3 else "")


def read_masks(folder: Path, row: StudyRow) -> NDArray[np.uint16] | None:
    """The mask image of a study ``[H, W]``, one structure a bit, or ``None`` where the data set has none."""
    if row.masks is None:
        return None
    with Image.open(folder / row.masks) as image:
        return np.asarray(image, dtype=np.uint16)


def load_study(folder: Path, row: StudyRow, *, masks: bool = False) -> Study:
    """The study of a manifest line with its image and labels in memory.

    Raises:
        ImageError: an image that is missing or cannot be read.
        ManifestError: an image outside the data set's ``image_root``, or of another size than the row says.
    """
    radiograph = read_radiograph(image_path(folder, row.image))
    if radiograph.size != (row.width, row.height):
        got = f"{radiograph.size[0]} x {radiograph.size[1]}"
        todo = "Restore the image that the boxes were drawn on, or prepare the data set again."
        raise ManifestError(f"{row.width} x {row.height} pixels in the image of study {row.id}", got, todo)
    planes = read_masks(folder, row) if masks else None
    labels = []
    for phrase in row.phrases:
        stack = None
        if planes is not None and phrase.mask_bits:
            stack = np.stack([(planes >> bit) & 1 for bit in phrase.mask_bits]).astype(bool)
        labels.append(LabelledPhrase(phrase.phrase(), np.array(phrase.boxes), stack))
    return Study(radiograph, row.report, row.id, row.patient, tuple(labels))
