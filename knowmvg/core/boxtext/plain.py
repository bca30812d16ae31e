"""A JSON list of boxes and nothing else: ``[[x1, y1, x2, y2], ...]`` in pixels of the canvas, by default of the file.

For answers that were asked for in this form, and for models of one's own. There is room for no phrase.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from knowmvg.core.boxtext.coordinates import PIXEL, judge, on_grid
from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.json_text import find_json, leaf_lists
from knowmvg.core.boxtext.reading import Draft, Fault, Item, Reading, refused
from knowmvg.core.frames import Frame, Size

DECIMALS = 2

_CUT = re.compile(r"\[\s*(?:\[|-?\d|$)")


class PlainList:
    """The dialect of bare JSON lists; with a ``grid`` its whole numbers instead of pixels with decimals."""

    name = "plain"

    def __init__(self, grid: Grid | None = None) -> None:
        self.grid = grid

    def frame(self, stored: Size) -> Frame:
        """The image as it is stored."""
        return Frame.squash(stored, stored)

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer for boxes in canvas pixels, with two decimals. Phrases are not written."""
        if self.grid is not None:
            return json.dumps([self.grid.write(box, canvas) for item in items for box in item.boxes])
        boxes = [on_grid(box, canvas, 1.0) for item in items for box in item.boxes]
        width, height = canvas
        return json.dumps(
            [
                [round(value * side, DECIMALS) for value, side in zip(box, (width, height) * 2, strict=True)]
                for box in boxes
            ]
        )

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The boxes of an answer in canvas pixels: every list of four numbers. An empty list says that there is none.

        A list of any other length is a partial box.
        """
        if (nothing := refused(text)) is not None:
            return nothing
        found, draft = find_json(text), Draft()
        for numbers in leaf_lists(found.values):
            if not numbers:
                continue
            if self.grid is not None:
                box, faults = self.grid.read(numbers, canvas, repair=repair)
            else:
                box, faults = judge(numbers, canvas, slack=PIXEL, repair=repair)
            draft.miss(*faults)
            if box is not None:
                draft.add(None, box)
        draft.miss(*[Fault.PARTIAL] * any(_CUT.match(start) for start in found.broken))
        return draft.done(says_none=[] in found.values)


PLAIN = PlainList()
