"""How the answer about one phrase is spelled, letter by letter: what training teaches and what decoding is held to.

A ``Layout`` is narrower than a dialect's reader, which takes whatever a model may write; what it spells is read back by
that reader (``codec``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from knowmvg.core.boxtext import kosmos2
from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.llava import Llava

Slots = tuple[tuple[int, ...], ...]
"""Which of ``x1, y1, x2, y2`` (0 to 3) each number of a box stands for, in the order in which they are written."""

_IN_ORDER: dict[str, Slots] = {"xyxy": ((0,), (1,), (2,), (3,)), "yxyx": ((1,), (0,), (3,), (2,))}


@dataclass(frozen=True, slots=True)
class Layout:
    """An answer is ``head``, boxes with ``between`` between them, ``tail``; or ``none`` alone.

    Args:
        head: before the first box.
        box: what stands before, between and after the numbers of a box; one more than there are numbers.
        between: between two boxes.
        tail: after the last box.
        none: the whole answer that there is no box.
        slots: which coordinates the numbers stand for.
        number: a number as it is written, from its coordinates.
        thin: whether a box may begin and end in the same bin.
    """

    head: str
    box: tuple[str, ...]
    between: str
    tail: str
    none: str
    slots: Slots
    number: Callable[[tuple[int, ...]], str]
    thin: bool = False

    def write(self, boxes: Sequence[Sequence[int]]) -> str:
        """The answer for boxes given by their numbers, ``x1, y1, x2, y2``."""
        if not boxes:
            return self.none
        return f"{self.head}{self.between.join(map(self._box, boxes))}{self.tail}"

    def _box(self, numbers: Sequence[int]) -> str:
        parts = [self.box[0]]
        for slot, after in zip(self.slots, self.box[1:], strict=True):
            parts += [self.number(tuple(numbers[place] for place in slot)), after]
        return "".join(parts)


def minigpt(grid: Grid, phrase: str) -> Layout:
    """``{<x1><y1><x2><y2>}``, joined by ``<delim>``; ``{}`` for none, which MiniGPT-v2 itself never says."""
    return _layout(grid, "", ("{<", "><", "><", "><", ">}"), "<delim>", "", "{}")


def bbox_2d(grid: Grid, phrase: str) -> Layout:
    """Fenced JSON as Qwen2.5-VL and Qwen3-VL write it (cookbooks/spatial_understanding.ipynb of QwenLM/Qwen3-VL)."""
    after = f'], "label": "{_in_json(phrase)}"}}'
    return _layout(
        grid, "```json\n[\n", ('\t{"bbox_2d": [', ", ", ", ", ", ", after), ",\n", "\n]\n```", "```json\n[]\n```"
    )


def box_2d(grid: Grid, phrase: str) -> Layout:
    """``Final Answer: ```json[{"box_2d": [...], "label": "..."}]``` ``, as in MedGemma's notebook."""
    after, head = f'], "label": "{_in_json(phrase)}"}}', "Final Answer: ```json["
    return _layout(grid, head, ('{"box_2d": [', ", ", ", ", ", ", after), ", ", "]```", f"{head}]```")


def loc(grid: Grid, phrase: str) -> Layout:
    """PaliGemma's tokens of four digits, each box with its phrase; nothing at all for none."""
    after = f"> {_ascii(phrase.replace(';', ','))}"
    return _layout(grid, "", ("<loc", "><loc", "><loc", "><loc", after), " ; ", "", "", lambda n: f"{n:04d}")


def loc_(grid: Grid, phrase: str) -> Layout:
    """Florence-2's tokens behind the phrase; nothing at all for none."""
    return _layout(grid, _ascii(phrase), ("<loc_", "><loc_", "><loc_", "><loc_", ">"), "", "", "")


def ref_box(grid: Grid, phrase: str) -> Layout:
    """``<ref>phrase</ref><box>[[...], [...]]</box>`` as InternVL writes it."""
    head = f"<ref>{_ascii(phrase)}</ref><box>["
    return _layout(grid, head, ("[", ", ", ", ", ", ", "]"), ", ", "]</box>", f"{head}]</box>")


def decimal(grid: Grid, phrase: str) -> Layout:
    """``[0.12, 0.34, 0.56, 0.78]`` as LLaVA-1.5 writes it; several are joined by a comma."""
    return _layout(grid, "", ("[", ", ", ", ", ", ", "]"), ", ", "", "[]", Llava(grid).decimal)


def plain(grid: Grid, phrase: str) -> Layout:
    """``[[x1, y1, x2, y2], ...]``."""
    return _layout(grid, "[", ("[", ", ", ", ", ", ", "]"), ", ", "]", "[]")


def patch(grid: Grid, phrase: str) -> Layout:
    """Kosmos-2's pairs of cells, behind the prompt that holds the phrase; nothing at all for none."""

    def number(cell: tuple[int, ...]) -> str:
        return f"{cell[1] * kosmos2.CELLS + cell[0]:04d}"

    box = ("<patch_index_", "><patch_index_", ">")
    return Layout("<object>", box, kosmos2.BETWEEN, "</object>", "", ((0, 1), (2, 3)), number, thin=True)


def _layout(
    grid: Grid,
    head: str,
    box: tuple[str, ...],
    between: str,
    tail: str,
    none: str,
    number: Callable[[int], str] = str,
) -> Layout:
    return Layout(head, box, between, tail, none, _IN_ORDER[grid.order], lambda values: number(values[0]))


def _ascii(phrase: str) -> str:
    """The phrase without marks and without letters beyond ASCII, accents taken off: any tokenizer can spell it."""
    return " ".join(normalize("NFKD", phrase).encode("ascii", "ignore").decode().replace("<", " ").split())


def _in_json(phrase: str) -> str:
    """The phrase inside a JSON string, letters beyond ASCII escaped: any tokenizer can spell it."""
    return json.dumps(" ".join(phrase.split()))[1:-1]
