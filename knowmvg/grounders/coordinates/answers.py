"""An answer about one phrase, however it was come by, and what becomes of it in a grounding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knowmvg.core.boxtext.codec import BoxCodec
from knowmvg.core.boxtext.reading import Fault
from knowmvg.core.frames import Frame
from knowmvg.core.grounder import Query
from knowmvg.core.records import Evidence, GroundedPhrase, Grounding, Phrase, Region, Study
from knowmvg.grounders.versions import software_versions

Box = tuple[float, float, float, float]

NOT_ASKED = "No box was asked for."
NAMES_NONE = "This model names no phrases; it places those that are given (--phrases parser)."
SAYS_NONE = "The model answered that there is no box."


@dataclass(frozen=True, slots=True)
class ScoredBox:
    """A box as it was written: its numbers in xyxy, the expected numbers, and a score in ``[0, 1]``.

    The score is the geometric mean over the box's numbers of the probability of each: how sure the model was of these
    numbers, which is no estimate of an overlap. ``expected`` is the mean of the numbers under the model's distribution:
    exact where a number is one token. Where it takes several, what its other beginnings would have gone on with is not
    known, and the middle of what they allow is taken. It is ``None`` where it was not asked for.
    """

    numbers: tuple[int, ...]
    expected: tuple[float, ...] | None
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Args:
        text: what the model wrote.
        boxes: in stored pixels, inside the image.
        scores: one a box.
        faults: why boxes, or all of it, could not be taken.
        whole: whether it came to its end.
    """

    text: str
    boxes: tuple[Box, ...]
    scores: tuple[float, ...]
    faults: tuple[Fault, ...] = ()
    whole: bool = True

    @property
    def valid(self) -> bool:
        """Whether the answer parses without a fault."""
        return not self.faults


def free_answer(text: str, codec: BoxCodec, frame: Frame, score: float, whole: bool = True) -> Answer:
    """An answer that was held to nothing: every box has the score of the answer unless it says one itself."""
    reading = codec.decode(text, frame)
    scores = [given if given is not None else score for item in reading.items for _, given in item.scored()]
    return Answer(text, reading.boxes, tuple(scores), reading.faults, whole)


def held_answer(text: str, boxes: Sequence[ScoredBox], codec: BoxCodec, frame: Frame, *, whole: bool) -> Answer:
    """An answer that was held to the codec's form, its boxes as they are expected where that is known, else as written.

    A box that lies in the padding altogether is left out. Expected corners that come out in the wrong order are those
    that were written.
    """
    found = zip(_stored(boxes, codec, frame), boxes, strict=True)
    kept = [(box, scored.score) for box, scored in found if box[2] > box[0] and box[3] > box[1]]
    faults = tuple(fault for fault in codec.decode(text, frame).faults if fault is not Fault.OUTSIDE)
    return Answer(text, tuple(box for box, _ in kept), tuple(score for _, score in kept), faults, whole)


def _stored(boxes: Sequence[ScoredBox], codec: BoxCodec, frame: Frame) -> list[Box]:
    rows = []
    for box in boxes:
        x1, y1, x2, y2 = corners = box.expected or box.numbers
        rows.append(tuple(map(float, corners if x1 < x2 and y1 < y2 else box.numbers)))
    canvas = codec.boxes(rows, frame.canvas)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in frame.to_stored(canvas).tolist()]


def grounding_of(study: Study, model: str, found: Iterable[tuple[Query, Answer | None]], *warnings: str) -> Grounding:
    """A study's grounding by the model of that name: each query's phrase as its answer places it."""
    return Grounding(
        image_size=study.image.size,
        phrases=tuple(placed(query.phrase, answer) for query, answer in found),
        model=model,
        versions=software_versions(),
        warnings=(*study.image.warnings, *warnings),
        study=study.id,
    )


def placed(phrase: Phrase, answer: Answer | None) -> GroundedPhrase:
    """The phrase with the boxes of its answer from the image's left to its right, or with the reason for none."""
    if answer is None:
        return GroundedPhrase(**phrase.model_dump(), reason=NOT_ASKED)
    pairs = sorted(zip(answer.boxes, answer.scores, strict=True), key=lambda pair: pair[0][0])
    regions = tuple(Region(xyxy=box, score=min(max(score, 0.0), 1.0)) for box, score in pairs)
    reason = None if regions else _why(answer.faults)
    return GroundedPhrase(**phrase.model_dump(), boxes=regions, evidence=Evidence(), reason=reason)


def _why(faults: Iterable[Fault]) -> str:
    named = ", ".join(dict.fromkeys(fault.value for fault in faults))
    return f"The model's answer could not be taken: {named}." if named else SAYS_NONE
