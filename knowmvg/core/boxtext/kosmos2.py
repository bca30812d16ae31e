"""Kosmos-2: ``<phrase> phrase</phrase><object><patch_index_0044><patch_index_0863></object>``, 32 cells to a side.

``Kosmos2Processor`` of transformers (models/kosmos2/processing_kosmos2.py): two indices a box, of the cell of its
top left and of its bottom right corner, counted row by row. ``coordinate_to_patch_index`` takes the cells that the
corners lie in (a bottom right corner on the edge of a cell belongs to the cell before it);
``patch_index_to_coordinate`` gives the cells' centres, or, where both corners lie in one row or column of cells, the
cells' outer edges. Several boxes are joined by ``</delimiter_of_multi_objects/>``. Special tokens must be kept when
the answer is decoded. The image is stretched to 224 x 224.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from knowmvg.core.boxtext.coordinates import on_grid, scaled
from knowmvg.core.boxtext.reading import Box, Draft, Fault, Item, Reading, refused
from knowmvg.core.frames import Frame, Size

CELLS = 32
SIDE = 224
BETWEEN = "</delimiter_of_multi_objects/>"

_PART = re.compile(
    r"<phrase>(?P<phrase>[^<]*)</phrase>|<object>(?P<boxes>.*?)(?P<end></object>|(?=<object>|<phrase>)|$)", re.S
)
_PAIR = re.compile(r"\s*<patch_index_(\d{1,9})>\s*<patch_index_(\d{1,9})>\s*")


class Kosmos2:
    """The dialect of patch indices."""

    name = "kosmos2"

    def frame(self, stored: Size) -> Frame:
        """The whole image, stretched."""
        return Frame.squash(stored, (SIDE, SIDE))

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer for boxes in canvas pixels. Raises ``ValueError`` for a phrase with ``<``."""
        if any(item.phrase is not None and "<" in item.phrase for item in items):
            raise ValueError("expected phrases without '<', which begins Kosmos-2's tokens")
        answer = []
        for item in items:
            pairs = BETWEEN.join("".join(map(token, indices(box, canvas))) for box in item.boxes)
            named = "" if item.phrase is None else f"<phrase> {item.phrase}</phrase>"
            answer.append(f"{named}<object>{pairs}</object>" if pairs else named)
        return "".join(answer)

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The boxes of an answer in canvas pixels. A phrase without an object says that it has none."""
        if (nothing := refused(text)) is not None:
            return nothing
        draft, phrase = Draft(), None
        for part in _PART.finditer(text):
            if part["phrase"] is not None:
                phrase = part["phrase"].strip() or None
                draft.name(phrase)
                continue
            for words in part["boxes"].split(BETWEEN):
                pair = _PAIR.fullmatch(words)
                box, faults = (
                    (None, (Fault.PARTIAL,)) if pair is None else place(int(pair[1]), int(pair[2]), repair=repair)
                )
                draft.miss(*faults)
                if box is not None:
                    draft.add(phrase, scaled(box, canvas[0] / CELLS, canvas[1] / CELLS))
            draft.miss(*[Fault.PARTIAL] * int(not part["end"] and bool(_PAIR.search(part["boxes"]))))
        return draft.done()


def token(index: int) -> str:
    """An index as it is written."""
    return f"<patch_index_{index:04d}>"


def indices(box: Box, canvas: Size) -> tuple[int, int]:
    """The cells of the corners of a canvas box."""
    x1, y1, x2, y2 = on_grid(box, canvas, CELLS)
    left, top = (min(math.floor(value), CELLS - 1) for value in (x1, y1))
    right, bottom = max(left, math.ceil(x2 - 1)), max(top, math.ceil(y2 - 1))
    return top * CELLS + left, bottom * CELLS + right


def place(first: int, last: int, *, repair: bool = False) -> tuple[Box | None, tuple[Fault, ...]]:
    """The box of two indices in cells, and its faults; swapped corners are put in order with ``repair``."""
    if max(first, last) >= CELLS * CELLS:
        return None, (Fault.OUT_OF_RANGE,)
    (y1, x1), (y2, x2) = divmod(first, CELLS), divmod(last, CELLS)
    faults = (Fault.SWAPPED,) if x1 > x2 or y1 > y2 else ()
    if faults and not repair:
        return None, faults
    (x1, x2), (y1, y2) = sorted((x1, x2)), sorted((y1, y2))
    if x1 == x2 or y1 == y2:
        return (float(x1), float(y1), x2 + 1.0, y2 + 1.0), faults
    return (x1 + 0.5, y1 + 0.5, x2 + 0.5, y2 + 0.5), faults


KOSMOS2 = Kosmos2()
"""The dialect as it is published."""
