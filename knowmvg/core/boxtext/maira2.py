"""MAIRA-2: ``<obj>phrase <box><x10><y20><x30><y40></box></obj>``, 100 cells to a side.

``Maira2Processor`` of microsoft/maira-2 (processing_maira2.py): a coordinate is the centre of its cell,
``(index + 0.5) / 100``, of the square that the processor crops from the centre of the image, as long as the shorter
side (``adjust_box_for_original_image_size`` undoes that crop). To scale to the whole image instead is the commonest
error with this model. A phrase may have several boxes, or none; special tokens must be kept when the answer is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowmvg.core.boxtext.coordinates import judge, on_grid
from knowmvg.core.boxtext.reading import Box, Draft, Fault, Item, Reading, refused
from knowmvg.core.boxtext.views import Fit, View
from knowmvg.core.frames import Frame, Size

BINS = 100

_MARK = re.compile(r"</?(?:obj|box)>")
_BOX = re.compile(r"\s*<x(\d{1,9})><y(\d{1,9})><x(\d{1,9})><y(\d{1,9})>\s*")


class Maira2:
    """The dialect of MAIRA-2's grounded reports and phrase grounding."""

    name = "maira2"

    def frame(self, stored: Size) -> Frame:
        """The centred square of the image, 518 pixels a side."""
        return View(Fit.CROP, (518, 518)).frame(stored)

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer for boxes in canvas pixels. Raises ``ValueError`` for a phrase with one of the marks in it."""
        if any(item.phrase is not None and _MARK.search(item.phrase) for item in items):
            raise ValueError("expected phrases without the marks <obj> and <box> of MAIRA-2's answers")
        answer = []
        for item in items:
            boxes = "".join(f"<box>{_tokens(box, canvas)}</box>" for box in item.boxes)
            answer.append(
                boxes if item.phrase is None else f"<obj>{' '.join(filter(None, (item.phrase, boxes)))}</obj>"
            )
        return "".join(answer)

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The boxes of an answer in canvas pixels. A phrase without a box says that it has none."""
        if (nothing := refused(text)) is not None:
            return nothing
        draft, phrase, place, inside = Draft(), None, 0, ""
        for mark in [*_MARK.finditer(text), None]:
            words = text[place : mark.start() if mark else len(text)]
            token = mark[0] if mark else ""
            if inside == "<box>":
                self._take(words if token == "</box>" else "", phrase, canvas, draft, repair)
            elif inside == "<obj>" and words.strip():
                phrase = words.strip()
                draft.name(phrase)
            if inside != "<box>" and (token == "</box>" or (mark is None and phrase is not None)):
                draft.miss(Fault.PARTIAL)  # an end without a beginning, a phrase without its end
            phrase = None if token in ("<obj>", "</obj>") else phrase
            inside = token if token in ("<obj>", "<box>") else ""
            place = mark.end() if mark else place
        return draft.done()

    @staticmethod
    def _take(words: str, phrase: str | None, canvas: Size, draft: Draft, repair: bool) -> None:
        written = _BOX.fullmatch(words)
        indices = [int(index) for index in written.groups()] if written else []
        cells, faults = judge(indices, (BINS - 1, BINS - 1), repair=repair)
        draft.miss(*faults)
        if cells is not None:
            kx, ky = canvas[0] / BINS, canvas[1] / BINS
            x1, y1, x2, y2 = (index + 0.5 for index in cells)
            draft.add(phrase, (x1 * kx, y1 * ky, x2 * kx, y2 * ky))


def _tokens(box: Box, canvas: Size) -> str:
    x1, y1, x2, y2 = (min(int(value), BINS - 1) for value in on_grid(box, canvas, BINS))
    return f"<x{x1}><y{y1}><x{x2}><y{y2}>"


MAIRA2 = Maira2()
