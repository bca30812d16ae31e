"""Which answers are allowed, letter by letter: an automaton of a ``Layout`` in which every whole answer parses.

A number is held to what makes a box together with the numbers before it: ``x2`` beyond ``x1``, ``y2`` beyond ``y1``,
nothing out of range. So there is no answer that the codec's reader would refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from knowmvg.core.boxtext.codec import BoxCodec
from knowmvg.core.boxtext.layout import Layout
from knowmvg.core.frames import Size

UNKNOWN = -1


class Node(NamedTuple):
    """A choice within an answer.

    Args:
        kind: ``open`` (a box or none), ``number``, ``rest`` (what stands after a number, but for its first letter),
            ``after`` (another box or the end) or ``end``.
        box: boxes begun, the present one included.
        slot: which number of the box is being written, or was last.
        values: ``x1, y1, x2, y2`` of the box as far as they are written, ``UNKNOWN`` otherwise.
        done: the values of the boxes that are written.
    """

    kind: str
    box: int = 0
    slot: int = 0
    values: tuple[int, ...] = (UNKNOWN,) * 4
    done: tuple[tuple[int, ...], ...] = ()


class State(NamedTuple):
    """A node, and the letters of one of its options that are written already."""

    node: Node
    written: str = ""


@dataclass(slots=True)
class Options:
    """The texts that a node can be left with, none of which begins another, and the value that each stands for.

    ``letters`` are those that may follow what is written, ``sums`` how many values begin with it, and their sums.
    """

    values: dict[str, tuple[int, ...]] = field(default_factory=dict)
    letters: dict[str, set[str]] = field(default_factory=dict)
    sums: dict[str, list[float]] = field(default_factory=dict)

    def add(self, text: str, value: tuple[int, ...] = ()) -> None:
        """One more text, and its value."""
        self.values[text] = value
        for length in range(len(text) + 1):
            start = text[:length]
            if length < len(text):
                self.letters.setdefault(start, set()).add(text[length])
            if value:
                sums = self.sums.setdefault(start, [0.0] * (1 + len(value)))
                sums[0] += 1
                for place, part in enumerate(value, 1):
                    sums[place] += part


Bounds = tuple[tuple[int, int], ...]


@lru_cache(maxsize=512)
def _numbers(codec: BoxCodec, slot: int, bounds: Bounds, instead: str) -> Options:
    """All values of a number within bounds, each with the first letter of what stands after it."""
    layout, options = codec.layout(""), Options()
    after = layout.box[slot + 1][0]
    for value in product(*(range(low, high + 1) for low, high in bounds)):
        options.add(layout.number(value) + after, value)
    if instead:
        options.add(instead)
    return options


class Grammar:
    """The answers about one phrase.

    Args:
        codec: style and grid of boxes.
        canvas: what the model sees, where numbers are its pixels.
        phrase: the phrase, where answers repeat it.
        least: fewest boxes.
        most: most boxes.

    Raises ``ValueError`` unless ``0 <= least <= most`` and ``most`` is at least 1.
    """

    def __init__(self, codec: BoxCodec, canvas: Size, phrase: str, least: int = 0, most: int = 4) -> None:
        if not 0 <= least <= most or most < 1:
            raise ValueError(f"expected 0 <= least <= most and most at least 1, got {least} and {most}")
        self.codec = codec
        self.layout: Layout = codec.layout(phrase)
        self.greatest = codec.grid.greatest(canvas)
        self.least, self.most = least, most
        self.start = State(Node("open"))
        self._kept: dict[tuple[str, int, bool, bool], Options] = {}

    def letters(self, state: State) -> set[str]:
        """The letters that may follow."""
        return self.options(state.node).letters.get(state.written, set())

    def step(self, state: State, letter: str) -> State:
        """The state after a letter that may follow."""
        written = state.written + letter
        done = written in self.options(state.node).values
        return self.leave(state.node, written) if done else State(state.node, written)

    def leave(self, node: Node, text: str) -> State:
        """The state after one of the node's texts."""
        return State(self._after(node, text, self.options(node).values[text]))

    def longest(self) -> str:
        """An answer of the most letters, and a blank before it."""
        (width, height), boxes = self.greatest, self.most
        return " " + max(self.layout.write([[width, height, width, height]] * boxes), self.layout.none, key=len)

    def accepts(self, text: str) -> bool:
        """Whether the text is a whole answer."""
        state = self.start
        for letter in text:
            if letter not in self.letters(state):
                return False
            state = self.step(state, letter)
        return self.ends(state)

    def ends(self, state: State) -> bool:
        """Whether an answer may end here."""
        node, layout = state.node, self.layout
        if node.kind == "open":
            return not self.least and not layout.none and not state.written.strip(" ")
        if state.written:
            return False
        return node.kind == "end" or (node.kind == "after" and not layout.tail and node.box >= self.least)

    def value(self, node: Node, later: State) -> tuple[float, ...]:
        """Of a number begun at ``node``: the mean of the values that it can still have in the state ``later``.

        Nothing in a state in which no part of it is written.
        """
        if later.node == node and not later.written:
            return ()
        if later.node == node:
            count, *total = self.options(node).sums[later.written]
            return tuple(part / count for part in total)
        there, slot = later.node, self.layout.slots[node.slot]
        values = there.done[node.box - 1] if len(there.done) >= node.box else there.values
        return () if UNKNOWN in (found := tuple(values[place] for place in slot)) else tuple(map(float, found))

    def number(self, box: int, slot: int, done: Sequence[tuple[int, ...]]) -> Node:
        """The node at which a number is begun, in an answer with these boxes."""
        known = {place for earlier in self.layout.slots[:slot] for place in earlier}
        values = tuple(done[box - 1][place] if place in known else UNKNOWN for place in range(4))
        return Node("number", box, slot, values, tuple(done[: box - 1]))

    def options(self, node: Node) -> Options:
        """The texts that a node can be left with."""
        if node.kind == "number":
            return _numbers(self.codec, node.slot, self._bounds(node), self._instead(node))
        key = (node.kind, node.slot, node.box < self.most, node.box >= self.least)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._made(node)
        return found

    def _bounds(self, node: Node) -> Bounds:
        """Least and greatest value of each coordinate of the number that is written at a node."""
        bounds, apart = [], 1 - int(self.layout.thin)
        for place in self.layout.slots[node.slot]:
            top = self.greatest[place % 2]
            bounds.append((0, top - apart) if place < 2 else (node.values[place - 2] + apart, top))
        return tuple(bounds)

    def _made(self, node: Node) -> Options:
        layout, options = self.layout, Options()
        if node.kind == "open":
            opening = layout.head + layout.box[0]
            apart = not self.least and not layout.none.startswith(opening)
            for text in filter(None, [opening, layout.none if apart else ""]):
                options.add(text)
                options.add(f" {text}")  # templates end in a colon or a line; the first needs a blank
        elif node.kind == "rest":
            options.add(layout.box[node.slot + 1][1:])
        elif node.kind == "after":
            if node.box < self.most:
                options.add(layout.between + layout.box[0])
            if layout.tail and node.box >= self.least:
                options.add(layout.tail)
        return options

    def _instead(self, node: Node) -> str:
        """What may stand in place of the first number to say that there is no box: ``]`` where ``[`` is written."""
        opening = self.layout.head + self.layout.box[0]
        first = node.kind == "number" and node.box == 1 and node.slot == 0
        return (
            self.layout.none.removeprefix(opening)
            if first and not self.least and self.layout.none.startswith(opening)
            else ""
        )

    def _after(self, node: Node, text: str, value: tuple[int, ...]) -> Node:
        """The node that an option leads to."""
        layout, more = self.layout, Node("number", node.box + 1, 0, (UNKNOWN,) * 4, node.done)
        if node.kind == "open":
            return Node("end") if text.lstrip(" ") == layout.none and not self.least else more
        if node.kind == "after":
            return node._replace(kind="end") if layout.tail and text == layout.tail else more
        if node.kind == "rest":
            return self._next(node)
        if not value:
            return Node("end")
        values = list(node.values)
        for place, number in zip(layout.slots[node.slot], value, strict=True):
            values[place] = number
        written = node._replace(kind="rest", values=tuple(values))
        return written if len(layout.box[node.slot + 1]) > 1 else self._next(written)

    def _next(self, node: Node) -> Node:
        """The node behind a number and what follows it."""
        if node.slot + 1 < len(self.layout.slots):
            return node._replace(kind="number", slot=node.slot + 1)
        return node._replace(kind="after", done=(*node.done, node.values))
