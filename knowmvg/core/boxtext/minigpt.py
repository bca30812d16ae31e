"""MiniGPT-v2 and what was trained from it (PeFoMed, PFMVG): ``{<25><30><60><75>}``, hundredths of the image.

Vision-CAIR/MiniGPT-4, eval_scripts/eval_ref.py: blanks and ``<unk>`` are dropped, a coordinate is read as its number
over 100. Several boxes are joined by ``<delim>``; in grounded captions the phrase stands before, as
``<p>phrase</p> {...}``. The image is stretched to 448 x 448.

Training targets there are truncated, ``int(x / width * 100)``, while answers are read as if they were not, which moves
every box by half a bin to the top left on average. ``rounding="nearest"`` writes what is read back without that shift;
``"floor"`` writes the targets as published.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowmvg.core.boxtext.grid import Grid, Rounding
from knowmvg.core.boxtext.reading import Box, Draft, Fault, Item, Reading, refused
from knowmvg.core.frames import Frame, Size

BINS = 100

_PART = re.compile(r"<p>(?P<phrase>[^{}<]*)</p>|\{(?P<box>[^{}]*)(?P<end>\}?)")
_NUMBERS = re.compile(r"(?:<\d{1,9}>)+")


class MiniGpt:
    """The dialect of four numbers in braces; ``{}`` says that there is no box."""

    name = "minigpt"

    def __init__(self, rounding: Rounding = "nearest", grid: Grid | None = None) -> None:
        self.grid = grid or Grid(BINS, rounding)

    def frame(self, stored: Size) -> Frame:
        """The whole image, stretched to 448 x 448."""
        return Frame.squash(stored, (448, 448))

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer for boxes in canvas pixels. Raises ``ValueError`` for a phrase with a brace or ``<``."""
        if any(item.phrase is not None and re.search("[{}<]", item.phrase) for item in items):
            raise ValueError("expected phrases without braces and '<', which are MiniGPT-v2's marks")
        answer = []
        for item in items:
            boxes = "<delim>".join(self._braces(box, canvas) for box in item.boxes)
            answer.append(boxes if item.phrase is None else f"<p>{item.phrase}</p> {boxes}".strip())
        return " ".join(answer)

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The boxes of an answer in canvas pixels. A phrase in ``<p>`` without a box says that it has none."""
        if (nothing := refused(text)) is not None:
            return nothing
        draft, phrase, none = Draft(), None, False
        for part in _PART.finditer(text.replace("<unk>", "")):
            if part["phrase"] is not None:
                phrase = part["phrase"].strip() or None
                draft.name(phrase)
                continue
            written = "".join(part["box"].split())
            if part["end"] and not written:
                none = True
                continue
            if not part["end"] or not _NUMBERS.fullmatch(written):
                draft.miss(Fault.NOT_A_NUMBER if part["end"] else Fault.PARTIAL)
                continue
            numbers = [int(number) for number in re.findall(r"\d+", written)]
            box, faults = self.grid.read(numbers, canvas, repair=repair)
            draft.miss(*faults)
            if box is not None:
                draft.add(phrase, box)
        return draft.done(says_none=none)

    def _braces(self, box: Box, canvas: Size) -> str:
        return "{" + "".join(f"<{number}>" for number in self.grid.write(box, canvas)) + "}"


MINIGPT = MiniGpt()
