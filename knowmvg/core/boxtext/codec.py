"""Boxes in stored pixels to the text that a model is taught or held to write, and any text back to boxes.

A ``BoxCodec`` is a choice of style (how an answer is spelled) and grid (what its numbers mean). Both ways go through a
``Frame``; both are total: every box can be written, every text is read, with its faults listed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from knowmvg.core import boxes as bx
from knowmvg.core.boxes import FloatArray
from knowmvg.core.boxtext import kosmos2, layout
from knowmvg.core.boxtext.coordinates import PIXEL
from knowmvg.core.boxtext.dialects import Dialect, Written, read_answer
from knowmvg.core.boxtext.florence2 import Florence2
from knowmvg.core.boxtext.grid import Grid, Order, Rounding
from knowmvg.core.boxtext.internvl import InternVl
from knowmvg.core.boxtext.json_boxes import JsonBoxes
from knowmvg.core.boxtext.layout import Layout
from knowmvg.core.boxtext.llava import Llava
from knowmvg.core.boxtext.minigpt import MiniGpt
from knowmvg.core.boxtext.paligemma import PaliGemma
from knowmvg.core.boxtext.plain import PlainList
from knowmvg.core.boxtext.reading import Reading
from knowmvg.core.frames import Frame, Size


class Style(StrEnum):
    """How an answer is spelled: ``layout`` has one function a style."""

    MINIGPT = "minigpt"
    BBOX_2D = "bbox_2d"
    BOX_2D = "box_2d"
    LOC = "loc"
    LOC_ = "loc_"
    REF_BOX = "ref_box"
    DECIMAL = "decimal"
    PATCH = "patch"
    PLAIN = "plain"


class _Spelling(NamedTuple):
    spell: Callable[[Grid, str], Layout]
    reader: Callable[[Grid], Dialect]


def _whole(stored: Size) -> Frame:
    return Frame.squash(stored, stored)


_SPELLINGS: dict[Style, _Spelling] = {
    Style.MINIGPT: _Spelling(layout.minigpt, lambda grid: MiniGpt(grid=grid)),
    Style.BBOX_2D: _Spelling(layout.bbox_2d, lambda grid: JsonBoxes("bbox_2d", "bbox_2d", _whole, grid)),
    Style.BOX_2D: _Spelling(layout.box_2d, lambda grid: JsonBoxes("box_2d", "box_2d", _whole, grid)),
    Style.LOC: _Spelling(layout.loc, PaliGemma),
    Style.LOC_: _Spelling(layout.loc_, Florence2),
    Style.REF_BOX: _Spelling(layout.ref_box, InternVl),
    Style.DECIMAL: _Spelling(layout.decimal, Llava),
    Style.PATCH: _Spelling(layout.patch, lambda grid: kosmos2.KOSMOS2),
    Style.PLAIN: _Spelling(layout.plain, PlainList),
}
_OWN_GRID = {Style.PATCH: (kosmos2.CELLS, "cell", "xyxy", None)}


class BoxCodec(BaseModel):
    """Bins, order, rounding and style of boxes in an answer (``Grid`` says what each means).

    Raises ``ValueError`` for a combination that cannot be written: decimals of other than 10, 100 or 1000 bins, patch
    indices on another grid than Kosmos-2's, or tokens of four digits for more than 10,000 bins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    style: Style = Style.MINIGPT
    """how an answer is spelled"""
    bins: int | None = Field(default=100, ge=2, le=10_000)
    """to a side of the canvas, or null for one a pixel of the canvas"""
    order: Order = "xyxy"
    """of the numbers"""
    rounding: Rounding = "nearest"
    """of a coordinate to a number: `nearest`, `floor` (as PFMVG was trained) or `cell`"""
    top: int | None = Field(default=None, ge=1)
    """greatest number, where a token for the last one is missing"""

    @model_validator(mode="after")
    def _can_be_written(self) -> BoxCodec:
        own = _OWN_GRID.get(self.style)
        if own is not None and (self.bins, self.rounding, self.order, self.top) != own:
            raise ValueError(f"expected the grid {own} of {self.style} boxes, got {self.bins} bins, {self.rounding}")
        self.layout("")  # decimals ask for a power of ten
        return self

    @property
    def grid(self) -> Grid:
        """What the numbers mean; a pixel beyond the canvas is rounding where they are pixels."""
        slack = PIXEL if self.bins is None else 0.0
        return Grid(self.bins, self.rounding, self.order, self.top, slack)

    @property
    def reader(self) -> Dialect:
        """The reader of answers."""
        return _SPELLINGS[self.style].reader(self.grid)

    def layout(self, phrase: str) -> Layout:
        """How an answer about this phrase is spelled."""
        return _SPELLINGS[self.style].spell(self.grid, phrase)

    def encode(self, boxes: Sequence[Sequence[float]] | FloatArray, frame: Frame, phrase: str = "") -> Written:
        """The answer for boxes in stored pixels; those that the model does not see at all are counted, not written.

        A box under a bin in length is written as one bin (``Grid.numbers``).
        """
        canvas = bx.clip(frame.to_canvas(boxes), frame.canvas)
        seen = canvas[(canvas[:, 2] > canvas[:, 0]) & (canvas[:, 3] > canvas[:, 1])]
        return Written(self.layout(phrase).write(self.numbers(seen, frame.canvas)), len(canvas) - len(seen))

    def numbers(self, boxes: FloatArray, canvas: Size) -> list[list[int]]:
        """Canvas boxes as numbers in xyxy."""
        if self.style is Style.PATCH:  # corners on an edge between cells belong to the cell inside the box
            pairs = [kosmos2.indices((x1, y1, x2, y2), canvas) for x1, y1, x2, y2 in boxes.tolist()]
            return [
                [cell % kosmos2.CELLS if k == 0 else cell // kosmos2.CELLS for cell in p for k in (0, 1)] for p in pairs
            ]
        found: list[list[int]] = self.grid.numbers(boxes, canvas).tolist()
        return found

    def boxes(self, numbers: Sequence[Sequence[float]], canvas: Size) -> FloatArray:
        """Numbers in xyxy, whole or between, as canvas boxes ``[n, 4]``."""
        found = self.grid.boxes(numbers, canvas)
        if self.style is Style.PATCH:
            line = (found[:, :2] == found[:, 2:]).any(axis=1)  # in one row or column of cells: its outer edges
            cell = [side / kosmos2.CELLS / 2 for side in canvas]
            found[line] += [-cell[0], -cell[1], cell[0], cell[1]]
        return found

    def decode(self, text: str, frame: Frame, *, repair: bool = False) -> Reading:
        """The boxes of any text in stored pixels, inside the image; what is wrong with it is listed, nothing raises."""
        if not text.strip() and not self.layout("").none:
            return Reading()
        return read_answer(self.reader, text, frame, repair=repair)


PFMVG = BoxCodec(style=Style.MINIGPT, bins=100, rounding="floor")
"""As published: hundredths of the image, truncated (section 2.2 gives the form, the authors' data set the rounding)."""
