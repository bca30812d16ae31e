"""What was read of a model's answer: phrases with boxes, and everything that was wrong with it.

Nothing is guessed. A box that cannot be taken as written is left out and its fault listed, so that whoever scores the
answer can count it. Boxes are in pixels of the canvas that the reader was told of (``core.frames``), xyxy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]

MAX_CHARACTERS = 100_000
MAX_BOXES = 100


class Fault(StrEnum):
    """Why a box, or a whole answer, was not taken."""

    EMPTY = "empty answer"
    PROSE = "no box in the text"
    PARTIAL = "partial box"
    MALFORMED = "malformed"
    NOT_A_NUMBER = "not a number"
    OUT_OF_RANGE = "out of range"
    SWAPPED = "swapped corners"
    NO_AREA = "box without area"
    OUTSIDE = "outside the image"
    DUPLICATE = "said twice"
    UNNAMED = "box without a phrase"
    BAD_SCORE = "score not in 0 to 1"
    TOO_LONG = "answer too long"
    TOO_MANY = "too many boxes"


@dataclass(frozen=True, slots=True)
class Item:
    """A phrase, or ``None`` where the text names none, with its boxes; ``scores`` has one entry a box or none at all.

    Raises ``ValueError`` for scores that are not as many as the boxes.
    """

    phrase: str | None
    boxes: tuple[Box, ...] = ()
    scores: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        if self.scores and len(self.scores) != len(self.boxes):
            raise ValueError(f"expected one score a box, got {len(self.scores)} for {len(self.boxes)} boxes")

    def scored(self) -> list[tuple[Box, float | None]]:
        """Each box with its score, ``None`` where it has none."""
        scores = self.scores or (None,) * len(self.boxes)
        return list(zip(self.boxes, scores, strict=True))


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer as far as it could be read. No item and no fault: the model said clearly that there is nothing."""

    items: tuple[Item, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All boxes in the order in which they were written."""
        return tuple(box for item in self.items for box in item.boxes)


@dataclass(slots=True)
class Draft:
    """A reading in the making. Boxes of the same phrase become one item, at the place of the first.

    Of more than ``most`` boxes none is taken: which ones the model meant is anyone's guess.
    """

    _found: dict[str | None, list[tuple[Box, float | None]]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    most: int = MAX_BOXES

    def name(self, phrase: str | None) -> None:
        """The answer speaks of this phrase, with or without boxes to follow."""
        self._found.setdefault(phrase, [])

    def add(self, phrase: str | None, box: Box, score: float | None = None) -> None:
        """A box that was taken."""
        self._found.setdefault(phrase, []).append((box, score))

    def miss(self, *faults: Fault) -> None:
        """A box, or an answer, that was not."""
        self.faults += faults

    def done(self, *, says_none: bool = False) -> Reading:
        """The reading. Text in which nothing was found is a fault unless it ``says_none`` in so many words."""
        if sum(map(len, self._found.values())) > self.most:
            return Reading((), (*self.faults, Fault.TOO_MANY))
        if not self._found and not self.faults and not says_none:
            self.faults.append(Fault.PROSE)
        return Reading(tuple(_item(phrase, pairs) for phrase, pairs in self._found.items()), tuple(self.faults))


def refused(text: str) -> Reading | None:
    """The reading of a text that is not worth opening: blank, or longer than ``MAX_CHARACTERS``."""
    if not text.strip():
        return Reading((), (Fault.EMPTY,))
    return Reading((), (Fault.TOO_LONG,)) if len(text) > MAX_CHARACTERS else None


def tally(faults: Iterable[Fault]) -> dict[str, int]:
    """How often each fault occurs, the most frequent first."""
    return {fault.value: n for fault, n in Counter(faults).most_common()}


def _item(phrase: str | None, pairs: list[tuple[Box, float | None]]) -> Item:
    scores = tuple(score for _, score in pairs)
    return Item(phrase, tuple(box for box, _ in pairs), scores if any(s is not None for s in scores) else ())
