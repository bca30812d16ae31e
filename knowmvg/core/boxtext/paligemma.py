"""PaliGemma and PaliGemma 2: ``<loc0246><loc0229><loc0872><loc0904> phrase ; ...``, y first, 1024 bins.

``y1 x1 y2 x2``, each a token ``<loc0000>`` to ``<loc1023>``; a token is read as its number over 1024, as in the demo
application of the authors (big-vision/paligemma-hf, ``_SEGMENT_DETECT_RE``) and in ``supervision``. There is no token
1024, so that the far edge of the image is read back a bin short. Segmentation tokens ``<seg000>`` are passed over. The
image is stretched to the model's square.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.reading import Box, Draft, Fault, Item, Reading, refused
from knowmvg.core.frames import Frame, Size

BINS = 1024

_RUN = re.compile(r"((?:<loc\d{1,9}>\s*)+)(?:<seg\d{1,9}>\s*)*([^<;]*)")
_TOKEN = re.compile(r"<loc(\d+)>")
_CUT = re.compile(r"<loc(?!\d{1,9}>)")


class PaliGemma:
    """The dialect of ``<loc>`` tokens, of four digits and y first unless ``grid`` says else."""

    name = "paligemma"

    def __init__(self, grid: Grid | None = None) -> None:
        self.grid = grid or Grid(BINS, order="yxyx", top=BINS - 1)

    def frame(self, stored: Size) -> Frame:
        """The whole image, stretched."""
        return Frame.squash(stored, (BINS, BINS))

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer for boxes in canvas pixels. Raises ``ValueError`` for a phrase with ``;`` or ``<``."""
        for item in items:
            if item.phrase is not None and re.search("[;<]", item.phrase):
                raise ValueError("expected a phrase without ';' and '<', which end a phrase in PaliGemma's answers")
        return " ; ".join(
            f"{self._tokens(box, canvas)} {item.phrase or ''}".strip() for item in items for box in item.boxes
        )

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The boxes of an answer in canvas pixels; the phrase is what stands between a box and the next ``;``."""
        if (nothing := refused(text)) is not None:
            return nothing
        draft = Draft()
        for run in _RUN.finditer(text):
            numbers = [int(token) for token in _TOKEN.findall(run[1])]
            phrase = run[2].strip() or None
            for start in range(0, len(numbers), 4):
                box, faults = self.grid.read(numbers[start : start + 4], canvas, repair=repair)
                draft.miss(*faults)
                if box is not None:
                    draft.add(phrase, box)
        draft.miss(*[Fault.PARTIAL] * len(_CUT.findall(text)))
        return draft.done()

    def _tokens(self, box: Box, canvas: Size) -> str:
        return "".join(f"<loc{number:04d}>" for number in self.grid.write(box, canvas))


PALIGEMMA = PaliGemma()
