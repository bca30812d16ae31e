"""InternVL: ``<ref>phrase</ref><box>[[x1, y1, x2, y2]]</box>``, in thousandths of the whole image.

Chat data format of the InternVL documentation (internvl.readthedocs.io, "Grounding / Detection Data": coordinates are
``round(x / width * 1000)`` of the image as it lies in the file, whatever it is cut into), repeated by the
maintainers in OpenGVLab/InternVL issues 227, 1009 and 1016. Several boxes stand in one ``<box>``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.json_text import find_json, leaf_lists
from knowmvg.core.boxtext.reading import Draft, Fault, Item, Reading, refused
from knowmvg.core.frames import Frame, Size

_MARK = re.compile(r"</?(?:ref|box)>")
_PART = re.compile(r"<ref>(?P<phrase>[^<]*)</ref>|<box>(?P<boxes>[^<]*)(?P<end></box>)?")


class InternVl:
    """The dialect of lists of boxes in ``<box>``."""

    name = "internvl"

    def __init__(self, grid: Grid | None = None) -> None:
        self.grid = grid or Grid(1000)

    def frame(self, stored: Size) -> Frame:
        """The whole image."""
        return Frame.squash(stored, stored)

    def write(self, items: Sequence[Item], canvas: Size) -> str:
        """The answer for boxes in canvas pixels. Raises ``ValueError`` for a phrase with a mark or ``<`` in it."""
        if any(item.phrase is not None and "<" in item.phrase for item in items):
            raise ValueError("expected phrases without '<', which begins the marks of InternVL's answers")
        answer = []
        for item in items:
            named = "" if item.phrase is None else f"<ref>{item.phrase}</ref>"
            boxes = ", ".join(str(list(self.grid.write(box, canvas))) for box in item.boxes)
            answer.append(f"{named}<box>[{boxes}]</box>")
        return "".join(answer)

    def read(self, text: str, canvas: Size, *, repair: bool = False) -> Reading:
        """The boxes of an answer in canvas pixels. ``<box>[]</box>`` says that there is none."""
        if (nothing := refused(text)) is not None:
            return nothing
        draft, phrase, none = Draft(), None, False
        for part in _PART.finditer(text):
            if part["phrase"] is not None:
                phrase = part["phrase"].strip() or None
                draft.name(phrase)
                continue
            found = find_json(part["boxes"])
            lists = list(leaf_lists(found.values))
            none |= lists == [[]]
            for numbers in lists:
                if numbers:
                    box, faults = self.grid.read(numbers, canvas, repair=repair)
                    draft.miss(*faults)
                    if box is not None:
                        draft.add(phrase, box)
            draft.miss(*[Fault.PARTIAL] * int(bool(found.broken) or not part["end"] or not lists))
        return draft.done(says_none=none)


INTERNVL = InternVl()
"""The dialect as it is published."""
