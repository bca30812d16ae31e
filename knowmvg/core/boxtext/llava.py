"""LLaVA-1.5: ``[x1, y1, x2, y2]`` as decimal shares of the image padded to a square.

LLaVA-1.5 was tuned on RefCOCO and Visual Genome in this form. That the shares are of the padded square, as
``expand2square`` makes it, is what users found in haotian-liu/LLaVA issue 606 and TRI-ML/vlm-evaluation issue 16;
for the RefCOCO part issue 822 of the same repository is not settled. Two decimals are written; any are read. There
is room for no phrase.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowmvg.core.boxtext.coordinates import judge, scaled
from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.json_text import find_json, leaf_lists
from knowmvg.core.boxtext.reading import Draft, Fault, Item, Reading, refused
from knowmvg.core.frames import Frame, Size

SIDE = 336

_CUT = re.compile(r"\[\s*-?\d")
_ORDERS = {"xyxy": False, "yxyx": True}


class Llava:
    """The dialect of decimal shares; a grid of 10, 100 or 1000 bins is written with 1, 2 or 3 decimals.

    Raises ``ValueError`` for a grid of any other number of bins.
    """

    name = "llava"

    def __init__(self, grid: Grid | None = None) -> None:
        self.grid = grid or Grid(100)
        if self.grid.bins not in (10, 100, 1000):
            raise ValueError(f"expected a grid of 10, 100 or 1000 bins for decimals, got {self.grid.bins}")

    def frame(self, stored: Size) -> Frame:
        """The image padded to a square, centred."""
        return Frame.letterbox(stored, (SIDE, SIDE))

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer for boxes in canvas pixels. Phrases are not written."""
        boxes = [self.grid.write(box, canvas) for item in items for box in item.boxes]
        return ", ".join(f"[{', '.join(map(self.decimal, numbers))}]" for numbers in boxes) or "[]"

    def decimal(self, number: int) -> str:
        """A number of the grid as it is written."""
        bins = self.grid.bins or 1
        return f"{number / bins:.{len(str(bins)) - 1}f}"

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The boxes of an answer in canvas pixels: every list of four numbers. An empty list says that there is none.

        Numbers are taken for what they say, whatever the grid, except that those of a ``cell`` grid are its cells'
        beginnings. Numbers above 1 are out of range.
        """
        if (nothing := refused(text)) is not None:
            return nothing
        found, draft = find_json(text), Draft()
        shift = 0.5 / (self.grid.bins or 1) if self.grid.rounding == "cell" else 0.0
        for numbers in leaf_lists(found.values):
            if not numbers:
                continue
            box, faults = judge(numbers, (1, 1), y_first=_ORDERS[self.grid.order], repair=repair)
            draft.miss(*faults)
            if box is not None:
                x1, y1, x2, y2 = (value + shift for value in box)
                draft.add(None, scaled((x1, y1, x2, y2), *canvas))
        draft.miss(*[Fault.PARTIAL] * any(_CUT.match(start) for start in found.broken))
        return draft.done(says_none=[] in found.values)


LLAVA = Llava()
"""The dialect as it is published."""
