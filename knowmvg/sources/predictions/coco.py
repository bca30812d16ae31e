"""COCO detection JSON: a data set (``images``, ``annotations``, ``categories``) or a list of results, boxes ``xywh``.

A box belongs to the phrase in its annotation's ``phrase``, or ``label_text`` as MS-CXR calls it, or else to the name of
its category. An image is the study whose identifier, or whose image file, its ``study``, ``file_name`` or ``id`` (if
it is a text) names; in a list of results that is ``image_id`` itself. An image without annotations is an answer:
nothing was found. COCO has no place for a phrase without a box, nor for who named the phrase.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from knowmvg.core.boxes import xyxy_to_xywh
from knowmvg.core.boxtext.coordinates import PIXEL, judge, judge_score
from knowmvg.core.boxtext.reading import Draft, Fault
from knowmvg.core.errors import ManifestError
from knowmvg.core.records import normalised
from knowmvg.sources.predictions.answers import Answer, Listed, Listing, Predictions

MAX_BYTES = 1 << 30
MAX_BOXES_AN_IMAGE = 1_000  # detectors give hundreds, most of them with low scores

_PHRASE_KEYS = ("phrase", "label_text")


def read_coco(path: Path, listing: Listing, *, repair: bool = False) -> Predictions:
    """The answers of a COCO file.

    Raises:
        ManifestError: no such file, or one that is no COCO JSON. What is wrong with a box is a fault of its answer.
    """
    data = _loaded(path)
    images, annotations, names = _parts(path, data)
    studies: dict[object, Listed | None] = {key: _listed(listing, image) for key, image in images.items()}
    drafts = {listed.study: Draft(most=MAX_BOXES_AN_IMAGE) for listed in studies.values() if listed is not None}
    unknown = {_name(key, images[key]): None for key, listed in studies.items() if listed is None}
    for annotation in annotations:
        key = annotation.get("image_id")
        hashable = key if isinstance(key, (str, int)) else repr(key)
        listed = studies[hashable] if hashable in studies else listing.find(hashable)
        if listed is None:
            unknown[_name(hashable, images.get(hashable, {}))] = None
            continue
        _take(annotation, names, listed, drafts.setdefault(listed.study, Draft(most=MAX_BOXES_AN_IMAGE)), repair)
    readings = {study: draft.done(says_none=True) for study, draft in drafts.items()}
    answers = tuple(Answer(study, reading.items, reading.faults) for study, reading in readings.items())
    return Predictions(answers, tuple(unknown))


def coco_listing(path: Path) -> Listing:
    """The images of a COCO file as the studies of a data set: by ``study``, or else by ``id``.

    Raises:
        ManifestError: no such file, one that is no COCO JSON, or an image without its file's name and its size.
    """
    images, _, _ = _parts(path, _loaded(path))
    return Listing(_image(path, key, image) for key, image in images.items())


def write_coco(predictions: Predictions, listing: Listing) -> str:
    """A COCO data set of the answers: a category for each phrase, scores where there are any.

    Every study of the listing that has an answer is an image; identifiers count from 1.
    """
    images: dict[str, int] = {}
    categories: dict[str, tuple[int, str]] = {}
    annotations = list[dict[str, Any]]()
    for answer in predictions.answers:
        image = images.setdefault(answer.study, len(images) + 1)
        for item in answer.items:
            text = item.phrase or "box"
            category, _ = categories.setdefault(normalised(text), (len(categories) + 1, text))
            for box, score in item.scored():
                bbox = xyxy_to_xywh([box])[0].tolist()
                row = {"id": len(annotations) + 1, "image_id": image, "category_id": category, "bbox": bbox}
                row |= {"area": bbox[2] * bbox[3], "iscrowd": 0, "phrase": text}
                annotations.append(row | ({} if score is None else {"score": score}))
    found = [(number, listing.by_study[study]) for study, number in images.items()]
    data = {
        "info": {"description": "phrases and their boxes, written by knowmvg"},
        "images": [
            {"id": n, "file_name": one.file, "width": one.size[0], "height": one.size[1], "study": one.study}
            for n, one in found
        ],
        "categories": [{"id": n, "name": text} for n, text in categories.values()],
        "annotations": annotations,
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _loaded(path: Path) -> Any:
    if not path.is_file():
        raise ManifestError("a file of predictions", f"none at {path}", "Check the path.")
    if path.stat().st_size > MAX_BYTES:
        raise ManifestError(f"at most {MAX_BYTES} bytes", f"{path.stat().st_size} in {path}", "Split the file.")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ManifestError("a COCO file, which is JSON", f"no JSON in {path}", "See docs/predictions.md.") from error


def _parts(path: Path, data: Any) -> tuple[dict[object, dict[str, Any]], list[dict[str, Any]], dict[object, str]]:
    """Images by identifier, annotations, and category names by identifier."""
    whole = {"annotations": data} if isinstance(data, list) else data if isinstance(data, dict) else {}
    images, categories = _rows(path, whole.get("images", [])), _rows(path, whole.get("categories", []))
    annotations = _rows(path, whole.get("annotations"))
    by_id = {(row["id"] if isinstance(row.get("id"), (str, int)) else repr(row.get("id"))): row for row in images}
    if len(by_id) != len(images):
        raise ManifestError("images with identifiers of their own", f"one twice in {path}", "Correct the file.")
    names = {c["id"]: c["name"] for c in categories if isinstance(c.get("id"), (str, int)) and c.get("name")}
    return by_id, annotations, {key: str(name) for key, name in names.items()}


def _image(path: Path, key: object, image: dict[str, Any]) -> Listed:
    name, width, height = (image.get(part) for part in ("file_name", "width", "height"))
    if not (isinstance(name, str) and all(type(side) is int and side > 0 for side in (width, height))):
        form = f"file_name, width and height of image {key} in {path}"
        raise ManifestError(form, "something else", "Give the sizes of the images, or a data set folder.")
    return Listed(str(image.get("study", key)), name, (int(width or 0), int(height or 0)))


def _rows(path: Path, part: object) -> list[dict[str, Any]]:
    if not isinstance(part, list) or not all(isinstance(row, dict) for row in part):
        form = "a COCO data set or a list of results: lists of objects"
        raise ManifestError(form, f"another form in {path}", "See docs/predictions.md.")
    return part


def _listed(listing: Listing, image: dict[str, Any]) -> Listed | None:
    words = [image[key] for key in ("study", "file_name", "id") if isinstance(image.get(key), str)]
    return next((listed for listed in map(listing.find, words) if listed is not None), None)


def _name(key: object, image: dict[str, Any]) -> str:
    return str(image.get("study") or image.get("file_name") or key)


def _take(annotation: dict[str, Any], names: dict[object, str], listed: Listed, draft: Draft, repair: bool) -> None:
    said = [annotation[key] for key in _PHRASE_KEYS if isinstance(annotation.get(key), str)]
    category = annotation.get("category_id")
    text = (said[0] if said else names.get(category, "") if isinstance(category, (str, int)) else "").strip()
    if not text:
        draft.miss(Fault.UNNAMED)
        return
    draft.name(text)
    box, faults = judge(_corners(annotation.get("bbox")), listed.size, slack=PIXEL, repair=repair)
    score, wrong = judge_score(annotation.get("score"))
    draft.miss(*faults, *wrong)
    if box is not None:
        draft.add(text, box, score)


def _corners(bbox: object) -> object:
    """``[x, y, w, h]`` as ``[x1, y1, x2, y2]``; anything else as it is, to be judged."""
    if isinstance(bbox, list) and len(bbox) == 4 and all(isinstance(v, (int, float)) for v in bbox):
        x, y, width, height = bbox
        try:
            return [x, y, x + width, y + height]
        except OverflowError:  # an integer beyond all floats, and a float
            return [*bbox[:2], float("inf"), float("inf")]
    return bbox
