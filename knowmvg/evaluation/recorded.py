"""A grounder that answers from a file of predictions, so that any model is scored by the code that scores ours."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, TypeAlias

from knowmvg.core.boxtext.reading import Item
from knowmvg.core.errors import ManifestError
from knowmvg.core.grounder import Query
from knowmvg.core.records import GroundedPhrase, Grounding, Phrase, Region, Study, normalised
from knowmvg.evaluation.samples import Protocol
from knowmvg.sources.predictions.answers import Answer, Predictions

NO_SCORE = 1.0
"""The score of a box that came without: its confidence figures mean nothing, and the evaluation says so."""

Key: TypeAlias = Literal["text", "finding"]

REPLAYED = "No shuffled and no blank row: predictions from a file cannot be asked again."


class Outcome(StrEnum):
    """What became of a question: boxes, a readable answer without a box, an unreadable answer, no answer."""

    BOXED = "boxed"
    EMPTY = "empty"
    INVALID = "invalid"
    MISSING = "missing"


class Recorded:
    """A ``Grounder`` that knows nothing but the file. It cannot be asked anything new.

    A given phrase is answered by the line that was asked for it, or else by the phrase of that text which the model
    named itself. ``outcomes`` holds what became of each question, by study and place among its questions (``None`` for
    the study as a whole), since the grounder was made.

    Args:
        predictions: the file's content.
        name: of the model.
        key: find given phrases by their ``text``, or by their ``finding``: for detectors, which know classes.
    """

    def __init__(self, predictions: Predictions, name: str = "predictions", key: Key = "text") -> None:
        self.name, self.key = name, key
        self.outcomes: dict[tuple[str, int | None], Outcome] = {}
        self._asked = {(a.study, normalised(a.asked)): a for a in predictions.answers if a.asked is not None}
        self._whole = {a.study: a for a in predictions.answers if a.asked is None}

    def refuse_unfit(self, protocol: Protocol) -> None:
        """Raise ``ManifestError`` for answers to given phrases under ``generate``: they would score as named."""
        if protocol is Protocol.GENERATE and self._asked:
            got = f"{len(self._asked)} answers to phrases that the model was given"
            todo = "Use the protocol under which the model was asked, or let it name its phrases."
            raise ManifestError("answers in which the model names its phrases, for the protocol generate", got, todo)

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        """The phrases that the model named."""
        return [self._grounding(study, self._named(study)) for study in studies]

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        """The boxes that the model gave for the phrases; none, with the reason, where it gave none."""
        return [
            self._grounding(study, [self._placed(study, place, query.phrase) for place, query in enumerate(asked)])
            for study, asked in zip(studies, queries, strict=True)
        ]

    def _named(self, study: Study) -> list[GroundedPhrase]:
        answer = self._whole.get(study.id)
        items = answer.items if answer is not None else ()
        self.outcomes[study.id, None] = outcome = _outcome(answer, items)
        return [_grounded(Phrase(text=item.phrase), item, outcome) for item in items if item.phrase]

    def _placed(self, study: Study, place: int, phrase: Phrase) -> GroundedPhrase:
        wanted = normalised(phrase.text if self.key == "text" else phrase.finding or phrase.text)
        answer = self._asked.get((study.id, wanted)) or self._whole.get(study.id)
        items = [i for i in (answer.items if answer else ()) if i.phrase is not None and normalised(i.phrase) == wanted]
        self.outcomes[study.id, place] = outcome = _outcome(answer, items)
        return _grounded(phrase, items[0] if items else Item(None), outcome)

    def _grounding(self, study: Study, phrases: Sequence[GroundedPhrase]) -> Grounding:
        width, height = study.image.size
        beyond = [r.xyxy for p in phrases for r in p.boxes if r.xyxy[2] > width or r.xyxy[3] > height]
        if beyond:
            sizes = f"an image as large as the manifest says for study {study.id}", f"one of {width} x {height} pixels"
            raise ManifestError(*sizes, "Correct width and height in the manifest.")
        return Grounding(image_size=(width, height), phrases=tuple(phrases), model=self.name, study=study.id)


def _outcome(answer: Answer | None, items: Sequence[Item]) -> Outcome:
    if answer is None:
        return Outcome.MISSING
    if any(item.boxes for item in items):
        return Outcome.BOXED
    silent = not items and answer.items  # of a whole study: it can be read and says nothing of the phrase
    return Outcome.INVALID if answer.faults and not silent else Outcome.EMPTY


def _grounded(phrase: Phrase, item: Item, outcome: Outcome) -> GroundedPhrase:
    regions = tuple(Region(xyxy=box, score=NO_SCORE if score is None else score) for box, score in item.scored())
    reason = None if regions else f"{outcome.value} answer"
    return GroundedPhrase(**phrase.model_dump(), boxes=regions, reason=reason)
