"""A table as it is set on a page: texts in lines and blocks, column groups above, footnotes below.

``Table`` holds numbers and one protocol; a ``Grid`` holds what is read, and is what Markdown, LaTeX and HTML share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knowmvg.evaluation.tables import Table, shown


@dataclass(frozen=True, slots=True)
class Line:
    """The cells of one line, the first of which names it; ``marks`` are letters of footnotes to that name."""

    cells: tuple[str, ...]
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together, under a heading across all columns where there is one."""

    lines: tuple[Line, ...]
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A heading above ``width`` neighbouring columns; an empty name leaves them without."""

    name: str
    width: int
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of texts. ``lead`` columns name the line, the others hold its numbers; ``notes`` are (letter, text).

    ``apart`` is the first of the columns that are to be set apart from those left of it, if there are such.

    Raises:
        ValueError: groups or a line that do not fill the header's columns.
    """

    title: str
    header: tuple[str, ...]
    blocks: tuple[Block, ...]
    groups: tuple[Group, ...] = ()
    lead: int = 1
    notes: tuple[tuple[str, str], ...] = ()
    name: str = "table"
    apart: int | None = None

    def __post_init__(self) -> None:
        widths = [len(line.cells) for block in self.blocks for line in block.lines]
        if self.groups:
            widths.append(sum(group.width for group in self.groups))
        if any(width != len(self.header) for width in widths):
            raise ValueError(f"expected {len(self.header)} columns everywhere, got {sorted(set(widths))}")

    def to_markdown(self) -> str:
        """A pipe table; groups stand before the columns' names, block headings in a line of their own.

        A group that is the only one stands behind the title instead.
        """
        named = [group for group in self.groups if group.name]
        groups, title = self._groups_by_column(), self.title
        if len(named) == 1:
            groups, title = [""] * len(self.header), f"{self.title}, {next(filter(None, groups))}"
        names = [f"{group} {name}".strip() for group, name in zip(groups, self.header, strict=True)]
        lines = [f"### {title}", "", _pipes(names), _pipes(["---"] * len(names))]
        for block in self.blocks:
            if block.heading is not None:
                lines.append(_pipes([f"*{_escaped(block.heading)}*", *[""] * (len(names) - 1)]))
            lines += [_pipes([_escaped(c) + m for c, m in _marked(line)]) for line in block.lines]
        notes = [f"\\[{letter}\\] {_escaped(text)}\n" for letter, text in self.notes]
        return "\n".join([*lines, "", *notes])

    def _groups_by_column(self) -> list[str]:
        if not self.groups:
            return [""] * len(self.header)
        return [
            " ".join([_escaped(group.name), *_raised(group.marks if place == 0 else ())]).strip()
            for group in self.groups
            for place in range(group.width)
        ]


def grid_of(table: Table, name: str | None = None) -> Grid:
    """A table of one protocol as texts, estimates as ``value [low, high]``; the protocol stands in the title.

    ``name`` is for files and labels, by default made of protocol and title.
    """
    lines = tuple(Line(tuple(shown(cell) for cell in row.cells)) for row in table.rows)
    own = name or f"{table.protocol}-{slug(table.title)}"
    return Grid(f"{table.title} ({table.protocol})", table.header, (Block(lines),), name=own)


def slug(text: str) -> str:
    """Lower-case words of ``text`` joined by hyphens, for file names and anchors; ``table`` where none is left."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in text.lower())
    return "-".join(kept.split())[:60].strip("-") or "table"


def _marked(line: Line) -> Iterable[tuple[str, str]]:
    for place, cell in enumerate(line.cells):
        yield cell, "".join(f" {mark}" for mark in _raised(line.marks)) if place == 0 else ""


def _raised(marks: Sequence[str]) -> list[str]:
    return [f"\\[{mark}\\]" for mark in marks]


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: no line break, no pipe, no markup of a hostile name."""
    flat = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\|<`*_" else letter for letter in flat)
