"""JSON lines, one answer a line: a model's text in one of the dialects, or boxes in so many numbers.

``{"study": "p1-0", "phrase": "left effusion", "answer": "<text of the model>"}`` (dialects) or
``{"study": "p1-0", "phrase": "left effusion", "boxes": [[x1, y1, x2, y2]], "scores": [0.8]}`` (``jsonl``). ``phrase``
is what the model was asked for. A model that read the report and named its phrases has no ``phrase`` but, in ``jsonl``,
``"phrases": [{"text": ..., "boxes": ..., "scores": ...}]``. ``view`` says what the model saw (``core.boxtext.views``).
Other keys are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from knowmvg.core.boxtext.coordinates import PIXEL, judge, judge_score
from knowmvg.core.boxtext.dialects import Dialect, read_answer
from knowmvg.core.boxtext.reading import Draft, Fault, Item, Reading
from knowmvg.core.boxtext.views import View
from knowmvg.core.errors import ManifestError
from knowmvg.core.frames import Frame
from knowmvg.sources.predictions.answers import Answer, Listed, Listing, Predictions, without_repeats

MAX_LINE = 1_000_000
MAX_LINES = 2_000_000


class _Line(BaseModel):
    study: str = Field(min_length=1)
    phrase: str | None = Field(default=None, min_length=1)
    answer: str | None = None
    boxes: Any = None
    scores: Any = None
    phrases: list[Any] | None = None
    view: str | None = None


def read_lines(
    path: Path, listing: Listing, *, dialect: Dialect | None = None, view: View | None = None, repair: bool = False
) -> Predictions:
    """The answers of a file of JSON lines.

    Args:
        path: the file.
        listing: the data set's studies.
        dialect: of the texts in ``answer``; ``None`` for boxes in numbers.
        view: what the model saw where a line does not say; by default the dialect's own, or the stored image.
        repair: see ``core.boxtext.coordinates.judge``.

    Raises:
        ManifestError: no such file, or a line that is no answer of the expected form. What a model wrote never raises.
    """
    answers, unknown = list[Answer](), dict[str, None]()
    for number, line in numbered_lines(path):
        row = _parsed(path, number, line, dialect is not None)
        listed = listing.by_study.get(row.study)
        if listed is None:
            unknown[row.study] = None
            continue
        reading = _read(row, _frame(path, number, row, listed, dialect, view), dialect, repair)
        answers.append(_answer(listed.study, row.phrase, reading))
    return Predictions(without_repeats(answers), tuple(unknown))


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and content of the lines that are not blank. Raises ``ManifestError`` for a missing or a huge file."""
    if not path.is_file():
        raise ManifestError("a file of predictions", f"none at {path}", "Check the path.")
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE or number > MAX_LINES:
                much = f"line {number} of {path} beyond them"
                raise ManifestError(f"{MAX_LINES} lines of {MAX_LINE} bytes at most", much, "Split the file.")
            if line.strip():
                yield number, line


def _parsed(path: Path, number: int, line: bytes, worded: bool) -> _Line:
    expected = f"an answer in line {number} of {path}"
    try:
        row = _Line.model_validate(json.loads(line))
    except ValidationError as error:  # its words may quote the file
        where = ", ".join(sorted({".".join(map(str, e["loc"])) or "the line" for e in error.errors()}))
        raise ManifestError(expected, f"something else at {where}", "See docs/predictions.md.") from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(expected, "no JSON", "See docs/predictions.md.") from error
    if worded and row.answer is None:
        raise ManifestError(expected, "no key `answer`", "Give the model's text, or use --format jsonl for boxes.")
    if not worded and (row.phrases is None) == (row.phrase is None):
        got = "both keys" if row.phrase is not None else "neither key"
        raise ManifestError(f"{expected} with `phrase` or `phrases`", got, "See docs/predictions.md.")
    if not worded and row.phrase is not None and row.boxes is None:
        raise ManifestError(expected, "no key `boxes`", "Give a list, an empty one where the model found nothing.")
    return row


def _frame(path: Path, number: int, row: _Line, listed: Listed, dialect: Dialect | None, view: View | None) -> Frame:
    try:
        chosen = View.parse(row.view) if row.view is not None else view
        if chosen is not None:
            return chosen.frame(listed.size)
        return dialect.frame(listed.size) if dialect is not None else View().frame(listed.size)
    except ValueError as error:
        place = f"a view of the image in line {number} of {path}"
        raise ManifestError(place, str(error), "See docs/predictions.md.") from error


def _read(row: _Line, frame: Frame, dialect: Dialect | None, repair: bool) -> Reading:
    if dialect is not None:
        return read_answer(dialect, row.answer or "", frame, repair=repair)
    draft = Draft()
    said = [{"text": row.phrase, "boxes": row.boxes, "scores": row.scores}] if row.phrases is None else row.phrases
    for entry in said:
        text = entry.get("text") if isinstance(entry, dict) else None
        if not isinstance(text, str) or not text.strip():
            draft.miss(Fault.UNNAMED)
            continue
        draft.name(text)
        _number_boxes(draft, text, entry.get("boxes"), entry.get("scores"), frame, repair)
    return draft.done(says_none=True)


def _number_boxes(draft: Draft, text: str, boxes: object, scores: object, frame: Frame, repair: bool) -> None:
    if not isinstance(boxes, list):
        draft.miss(Fault.MALFORMED)
        return
    if scores is not None and (not isinstance(scores, list) or len(scores) != len(boxes)):
        draft.miss(Fault.BAD_SCORE)
        scores = None
    for numbers, value in zip(boxes, scores or [None] * len(boxes), strict=True):
        box, faults = judge(numbers, frame.canvas, slack=PIXEL, repair=repair)
        score, wrong = judge_score(value)
        draft.miss(*faults, *wrong)
        if box is None:
            continue
        x1, y1, x2, y2 = frame.to_stored([box])[0].tolist()
        if x1 < x2 and y1 < y2:
            draft.add(text, (x1, y1, x2, y2), score)
        else:
            draft.miss(Fault.OUTSIDE)


def _answer(study: str, asked: str | None, reading: Reading) -> Answer:
    """All boxes of an answer to the question for one phrase belong to that phrase, whatever the model calls them.

    Where no phrase was asked for, a box without a phrase belongs to none.
    """
    if asked is None:
        named = tuple(item for item in reading.items if item.phrase is not None)
        nameless = [Fault.UNNAMED for item in reading.items if item.phrase is None for _ in item.boxes]
        return Answer(study, named, (*reading.faults, *nameless))
    pairs = [pair for item in reading.items for pair in item.scored()]
    scores = tuple(score for _, score in pairs) if any(score is not None for _, score in pairs) else ()
    return Answer(study, (Item(asked, tuple(box for box, _ in pairs), scores),), reading.faults, asked)
