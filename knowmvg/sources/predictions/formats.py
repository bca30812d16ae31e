"""All formats of predictions by name: one way in, one way out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from knowmvg.core.boxtext.dialects import DIALECTS, Dialect, write_answer
from knowmvg.core.boxtext.reading import Item
from knowmvg.core.boxtext.views import View
from knowmvg.core.errors import ManifestError
from knowmvg.sources.predictions.answers import Answer, Listing, Predictions
from knowmvg.sources.predictions.coco import read_coco, write_coco
from knowmvg.sources.predictions.fiftyone import write_fiftyone
from knowmvg.sources.predictions.groundings import read_groundings
from knowmvg.sources.predictions.label_studio import labelling_configuration, write_label_studio
from knowmvg.sources.predictions.lines import read_lines

COCO, JSONL, GROUNDING, LABEL_STUDIO, FIFTYONE = "coco", "jsonl", "grounding", "label-studio", "fiftyone"
READ = (COCO, JSONL, GROUNDING, *DIALECTS)
WRITTEN = (COCO, JSONL, LABEL_STUDIO, FIFTYONE, *DIALECTS)


def read_predictions(
    path: Path, form: str, listing: Listing, *, view: View | None = None, repair: bool = False
) -> Predictions:
    """The predictions in ``path``, a file in the format ``form``, one of ``READ``.

    Args:
        path: the file.
        form: its format.
        listing: the data set's studies.
        view: what the model saw, for the formats of lines; by default what its published processor shows it.
        repair: see ``core.boxtext.coordinates.judge``.

    Raises:
        ManifestError: no such file, or one of another form.
        ValueError: an unknown format.
    """
    if form == COCO:
        return read_coco(path, listing, repair=repair)
    if form == GROUNDING:
        return read_groundings(path, listing)
    if form == JSONL or form in DIALECTS:
        return read_lines(path, listing, dialect=DIALECTS.get(form), view=view, repair=repair)
    raise ValueError(f"expected one of {', '.join(READ)}, got {form!r}")


@dataclass(frozen=True, slots=True)
class Export:
    """Texts by what is to be added to the file's name, and what could not be said in the format."""

    files: dict[str, str]
    notes: tuple[str, ...] = ()


def write_predictions(
    predictions: Predictions,
    form: str,
    listing: Listing,
    *,
    view: View | None = None,
    model: str = "knowmvg",
    images: str = "",
) -> Export:
    """The predictions in the format ``form``, one of ``WRITTEN``.

    Args:
        predictions: what to write.
        form: the format.
        listing: the data set's studies.
        view: what the reading model is to see, for the dialects; by default what its published processor shows it.
        model: its name, for Label Studio.
        images: where the images are served, for Label Studio.

    Raises:
        ManifestError: a phrase that the dialect cannot write.
        ValueError: an unknown format.
    """
    if form in DIALECTS:
        return _worded(predictions, DIALECTS[form], listing, view)
    if form == JSONL:
        return Export({"": _lines(_numbers(answer) for answer in predictions.answers)})
    boxless = sum(not item.boxes for answer in predictions.answers for item in answer.items)
    notes = (f"{boxless} phrases without a box: {form} has no place for them.",) if boxless else ()
    if form == COCO:
        return Export({"": write_coco(predictions, listing)}, notes)
    if form == FIFTYONE:
        return Export({"": write_fiftyone(predictions, listing)}, notes)
    if form == LABEL_STUDIO:
        tasks = write_label_studio(predictions, listing, model=model, images=images)
        return Export({"": tasks, ".config.xml": labelling_configuration(predictions)}, notes)
    raise ValueError(f"expected one of {', '.join(WRITTEN)}, got {form!r}")


def _worded(predictions: Predictions, dialect: Dialect, listing: Listing, view: View | None) -> Export:
    rows, unseen = list[dict[str, object]](), 0
    for answer in predictions.answers:
        size = listing.by_study[answer.study].size
        frame = view.frame(size) if view is not None else dialect.frame(size)
        try:
            written = write_answer(dialect, answer.items, frame)
        except ValueError as error:
            place = f"phrases that {dialect.name} can write, for study {answer.study}"
            raise ManifestError(place, str(error), "Choose another format.") from error
        unseen += written.unseen
        shown = {} if view is None else {"view": str(view)}
        rows.append({**_question(answer), "answer": written.text, **shown})
    notes = (f"{unseen} boxes lie where the model does not see the image and were left out.",) if unseen else ()
    return Export({"": _lines(rows)}, notes)


def _question(answer: Answer) -> dict[str, object]:
    question: dict[str, object] = {"study": answer.study}
    return question if answer.asked is None else {**question, "phrase": answer.asked}


def _numbers(answer: Answer) -> dict[str, object]:
    if answer.asked is None:
        return {**_question(answer), "phrases": [{"text": item.phrase, **_boxes(item)} for item in answer.items]}
    (item,) = answer.items or (Item(answer.asked),)
    return {**_question(answer), **_boxes(item)}


def _boxes(item: Item) -> dict[str, object]:
    scores = {"scores": list(item.scores)} if item.scores else {}
    return {"boxes": [list(box) for box in item.boxes], **scores}


def _lines(rows: Iterable[dict[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
