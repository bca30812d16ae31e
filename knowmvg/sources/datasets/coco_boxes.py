"""Any set in COCO form: ``images``, ``annotations`` and ``categories`` in a JSON file, boxes ``[left, top, w, h]``.

Layout (https://cocodataset.org/#format-data), and what is read beyond it where it is there::

    images       id, file_name, width, height [, study, patient or patient_id, split, report]
    annotations  image_id, category_id, bbox [, phrase or caption or label_text]
    categories   id, name

Boxes are in pixels of the image. Annotations of an image with the same phrase are one phrase with several boxes; one
without a phrase has the name of its category. A category that bears the name of a finding of our lexicon is that
finding; otherwise the finding is the only one that the phrase names. An annotation with an empty or no ``bbox`` is a
phrase without boxes. Crowd regions (``iscrowd`` 1) are left out and counted: their box is none of a single thing.

The split is that of the image, else the one in the file's name (``instances_val2017.json``), else the option's. Images
without a patient count as patients of their own. Without ``report``, the phrases joined stand for it.

Memory: the file is read as a stream, image by image gathered in a temporary database; categories are held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.categories import finding_named
from knowmvg.sources.datasets.gathering import Gathering
from knowmvg.sources.datasets.grouped import Drawn, ImageFacts, grouped_study
from knowmvg.sources.datasets.json_lists import JsonItem, has_list, numbers, read_list
from knowmvg.sources.datasets.official_split import official_split
from knowmvg.sources.datasets.placing import box_from_xywh, image_side
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.settings import flag
from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.manifest import Box, StudyRow

PHRASES = ("phrase", "caption", "label_text")
MAX_CATEGORIES = 100_000
_PATIENT = ("patient", "patient_id")
_SPLIT = re.compile(r"(?:^|[^a-z])(train|val|valid|validation|test)(?:[^a-z]|$)")


def open_coco(places: Places, options: Mapping[str, str]) -> CocoReader:
    """The reader of the file in ``--annotations``, or of every JSON file with annotations in that folder or ``--root``.

    Options: ``name`` of the set, ``split`` (where neither image nor file says), ``credentialed`` (``yes`` or ``no``;
    ``yes`` by default: texts stay on this machine).

    Raises:
        ManifestError: no file in COCO form.
        RecipeError: an option with a value that it does not have.
    """
    place = places.annotations or places.root
    folders = [place, place / "annotations"] if place.is_dir() else []
    files = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if _is_json(path)]
    files = [place] if place.is_file() else [path for path in files if has_list(path, "annotations")]
    if not files:
        todo = "Name the file with --annotations."
        raise ManifestError("a COCO file: JSON with images, annotations and categories", f"none at {place}", todo)
    for path in files:
        for part in ("images", "annotations", "categories"):
            if not has_list(path, part):
                raise ManifestError(f"a list at {part!r} in a COCO file", f"none in {path}", "Correct the file.")
    split = options.get("split", "")
    patients = all(map(_names_patients, files))
    notes = () if patients else ("Images without a patient count as patients of their own.",)
    facts = DatasetFacts(
        options.get("name", "COCO"), "as given", "as given by the user", flag(options, "credentialed", True), "", notes
    )
    return CocoReader(facts, places.images or places.root, tuple(files), split)


@dataclass(frozen=True, slots=True)
class CocoReader:
    """Rows of COCO files, one file after the other; see the module and ``open_coco``."""

    facts: DatasetFacts
    image_root: Path
    files: tuple[Path, ...]
    split: str = ""

    def read(self) -> Iterator[StudyRow | Fault]:
        """The images in the order of each file, those without annotations included; its faults come first."""
        for path in self.files:
            yield from self._read_file(path)

    def _read_file(self, path: Path) -> Iterator[StudyRow | Fault]:
        named = _SPLIT.search(path.name.casefold())
        split = official_split(named[1]) if named else self.split
        with Gathering() as images:
            for item in read_list(path, "images"):
                if isinstance(item, Fault):
                    yield item
                    continue
                try:
                    key = _key(item, "id")
                    if key in images:
                        raise UnusableError("duplicate image", "an identifier that an earlier image has")
                    images.add(key, _image(item, split).stored())
                except UnusableError as reason:
                    yield item.fault(reason)
            yield from _gather_annotations(path, images)
            for _, (image, *drawn) in images:
                yield from grouped_study(ImageFacts(**image), [Drawn.of(one) for one in drawn])


def _gather_annotations(path: Path, images: Gathering) -> Iterator[Fault]:
    names = dict[str, str]()
    for item in read_list(path, "categories"):
        if isinstance(item, Fault):
            yield item
            continue
        try:
            names[_key(item, "id")] = item.text("name")
            if len(names) > MAX_CATEGORIES:
                raise ManifestError(f"at most {MAX_CATEGORIES} categories", f"more in {path}", "Split the file.")
        except UnusableError as reason:
            yield item.fault(reason)
    for item in read_list(path, "annotations"):
        if isinstance(item, Fault):
            yield item
            continue
        try:
            key = _key(item, "image_id")
            if key not in images:
                raise UnusableError("unknown image", "no image of that identifier, or one that was left out")
            if item.values.get("iscrowd") == 1:
                yield item.mended("crowd region", "a box around many things; left out")
                continue
            drawn = _drawn(item, names)
        except UnusableError as reason:
            yield item.fault(reason)
            continue
        images.add(key, drawn.stored())
        if drawn.broken is not None:
            yield item.fault(UnusableError(*drawn.broken))


def _names_patients(path: Path) -> bool:
    """Whether the first image of a file says its patient."""
    first = next((item for item in read_list(path, "images") if isinstance(item, JsonItem)), None)
    return first is not None and any(first.values.get(key) is not None for key in _PATIENT)


def _image(item: JsonItem, split: str) -> ImageFacts:
    name = item.text("file_name")
    own = item.optional("split")
    sides = [item.values.get(side) for side in ("width", "height")]
    width, height = (0, 0) if sides == [None, None] else (image_side(item.number(s), s) for s in ("width", "height"))
    patient = next((item.name(key) for key in _PATIENT if item.values.get(key) is not None), None)
    return ImageFacts(
        study=item.optional("study") or name.rsplit(".", 1)[0],
        image=name,
        patient=patient,
        split=official_split(own) if own else split,
        width=width,
        height=height,
        report=item.optional("report") or "",
        file=item.file,
        row=item.place,
    )


def _drawn(item: JsonItem, names: Mapping[str, str]) -> Drawn:
    category = names.get(_key(item, "category_id")) if item.values.get("category_id") is not None else None
    text = next((said for key in PHRASES if (said := item.optional(key)) is not None), category)
    if text is None:
        raise UnusableError("no phrase", f"none of {', '.join(PHRASES)}, and no category of the file")
    finding = None if category is None else finding_named(category)
    box, broken = _box(item.values.get("bbox"))
    return Drawn(text, finding, box, None, item.file, item.place, broken)


def _box(bbox: Any) -> tuple[Box | None, tuple[str, str] | None]:
    if bbox is None or bbox == []:
        return None, None
    try:
        return box_from_xywh(*numbers(bbox, 4, "'bbox'")), None
    except UnusableError as reason:
        return None, (reason.kind, reason.detail)


def _key(item: JsonItem, key: str) -> str:
    """An identifier with its type: 1 and "1" are two. Raises ``UnusableError``."""
    value = item.values.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise UnusableError("wrong type", f"neither a text nor a whole number at {key!r}")
    return json.dumps(value)


def _is_json(path: Path) -> bool:
    return path.is_file() and path.name.casefold().endswith((".json", ".json.gz"))
