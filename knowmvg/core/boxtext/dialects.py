"""All dialects by name, and the way from an answer to stored pixels and back, through a ``Frame``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from knowmvg.core import boxes as bx
from knowmvg.core.boxtext.florence2 import FLORENCE2
from knowmvg.core.boxtext.internvl import INTERNVL
from knowmvg.core.boxtext.kosmos2 import KOSMOS2
from knowmvg.core.boxtext.llava import LLAVA
from knowmvg.core.boxtext.maira2 import MAIRA2
from knowmvg.core.boxtext.medgemma import MEDGEMMA
from knowmvg.core.boxtext.minigpt import MINIGPT
from knowmvg.core.boxtext.paligemma import PALIGEMMA
from knowmvg.core.boxtext.plain import PLAIN
from knowmvg.core.boxtext.qwen3 import QWEN3
from knowmvg.core.boxtext.qwen25 import QWEN25
from knowmvg.core.boxtext.reading import Box, Draft, Fault, Item, Reading
from knowmvg.core.frames import Frame, Size


class Dialect(Protocol):
    """How a family of models writes boxes."""

    @property
    def name(self) -> str:
        """Its name in file formats and on the command line."""
        ...

    def frame(self, stored: Size) -> Frame:
        """What the published model sees of an image of size ``stored``."""
        ...

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer that says these phrases and boxes (canvas pixels). Raises ``ValueError`` where it cannot."""
        ...

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The phrases and boxes (canvas pixels) of an answer, and what was wrong with it; never raises."""
        ...


DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (MAIRA2, QWEN25, QWEN3, MEDGEMMA, PALIGEMMA, MINIGPT, INTERNVL, LLAVA, KOSMOS2, FLORENCE2, PLAIN)
}


def read_answer(dialect: Dialect, text: str, frame: Frame, *, repair: bool = False) -> Reading:
    """An answer about an image that the model saw through ``frame``, its boxes in stored pixels.

    A box is cut to the image; one that lies in the padding altogether is left out, with a fault.
    """
    reading = dialect.read(text, frame.canvas, repair=repair)
    draft = Draft(faults=list(reading.faults))
    for item in reading.items:
        draft.name(item.phrase)
        for box, score in item.scored():
            stored = _as_box(frame.to_stored([box])[0].tolist())
            if _has_area(stored):
                draft.add(item.phrase, stored, score)
            else:
                draft.miss(Fault.OUTSIDE)
    return draft.done(says_none=True)


@dataclass(frozen=True, slots=True)
class Written:
    """An answer, and how many boxes are not in it because the model does not see their place at all."""

    text: str
    unseen: int


def write_answer(dialect: Dialect, items: Sequence[Item], frame: Frame) -> Written:
    """The answer for boxes in stored pixels. Raises ``ValueError`` for a phrase that the dialect cannot write."""
    unseen, seen = 0, list[Item]()
    for item in items:
        pairs = [(_as_box(bx.clip(frame.to_canvas([box]), frame.canvas)[0].tolist()), s) for box, s in item.scored()]
        kept = [(box, score) for box, score in pairs if _has_area(box)]
        unseen += len(pairs) - len(kept)
        scores = tuple(score for _, score in kept) if item.scores else ()
        seen.append(Item(item.phrase, tuple(box for box, _ in kept), scores))
    return Written(dialect.write(seen, frame.canvas), unseen)


def _as_box(values: Sequence[float]) -> Box:
    x1, y1, x2, y2 = values
    return x1, y1, x2, y2


def _has_area(box: Box) -> bool:
    return box[2] > box[0] and box[3] > box[1]
