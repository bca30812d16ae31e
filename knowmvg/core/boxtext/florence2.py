"""Florence-2: ``phrase<loc_52><loc_332><loc_932><loc_774>``, x first, 1000 bins read as their centres.

``Florence2PostProcessor`` of transformers (models/florence2/processing_florence2.py): ``quantize`` takes the bin that a
coordinate lies in, ``dequantize`` its centre, ``(index + 0.5) / 1000`` of the whole image; boxes of a phrase follow it,
four tokens each (``<CAPTION_TO_PHRASE_GROUNDING>``). Special tokens must be kept when the answer is decoded. The
image is stretched to the model's square.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.reading import Draft, Fault, Item, Reading, refused
from knowmvg.core.frames import Frame, Size

SIDE = 768

_ENDS = re.compile(r"</?s>|<pad>|<ground>|<obj>")
_RUN = re.compile(r"(?:<loc_\d{1,9}>\s*)+")
_TOKEN = re.compile(r"<loc_(\d+)>")
_CUT = re.compile(r"<loc_(?!\d{1,9}>)")


class Florence2:
    """The dialect of ``<loc_N>`` tokens."""

    name = "florence2"

    def __init__(self, grid: Grid | None = None) -> None:
        self.grid = grid or Grid(1000, "cell")

    def frame(self, stored: Size) -> Frame:
        """The whole image, stretched."""
        return Frame.squash(stored, (SIDE, SIDE))

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer for boxes in canvas pixels. Raises ``ValueError`` for a phrase with ``<``."""
        if any(item.phrase is not None and "<" in item.phrase for item in items):
            raise ValueError("expected phrases without '<', which begins Florence-2's tokens")
        answer = []
        for item in items:
            tokens = "".join(f"<loc_{number}>" for box in item.boxes for number in self.grid.write(box, canvas))
            answer.append(f"{item.phrase or ''}{tokens}")
        return "".join(answer)

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The boxes of an answer in canvas pixels; the phrase is what stands before its tokens."""
        if (nothing := refused(text)) is not None:
            return nothing
        draft, text, place = Draft(), _ENDS.sub("", text), 0
        for run in _RUN.finditer(text):
            phrase, place = text[place : run.start()].rpartition(">")[2].strip() or None, run.end()
            numbers = [int(token) for token in _TOKEN.findall(run[0])]
            for start in range(0, len(numbers), 4):
                box, faults = self.grid.read(numbers[start : start + 4], canvas, repair=repair)
                draft.miss(*faults)
                if box is not None:
                    draft.add(phrase, box)
        draft.miss(*[Fault.PARTIAL] * len(_CUT.findall(text)))
        return draft.done()


FLORENCE2 = Florence2()
"""The dialect as it is published."""
