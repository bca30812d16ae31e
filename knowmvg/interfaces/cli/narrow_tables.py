"""Markdown on a terminal, its tables whole: one that is too wide goes on below itself, its first columns repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

WIDEST = 100_000  # characters, of a table that is measured
_RULE = re.compile(r"\|[-:| ]+\|")
_ESCAPED = re.compile(r"\\([\\|\[\]<`*_])")

Row = Sequence[str]


def show_markdown(text: str, console: Console, lead: int = 1) -> None:
    """Print Markdown. Tables are printed in as many pieces as the width needs, and no cell is cut off.

    The first ``lead`` columns name a line and stand in every piece.
    """
    for block in _blocks(text):
        if not block[0].startswith("|"):
            console.print(Markdown("\n".join(block)))
            continue
        rows = [_cells(line) for line in block if not _RULE.fullmatch(line.strip())]
        for table in _tables(rows, console, lead):
            console.print(table, "")


def _blocks(text: str) -> Iterator[list[str]]:
    """Runs of lines that are rows of a table, and runs of those that are none."""
    block: list[str] = []
    for line in text.splitlines():
        if block and line.startswith("|") != block[0].startswith("|"):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _cells(line: str) -> list[str]:
    """The cells of a row, each with its interval and its p value on lines of their own."""
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
    broken = [re.sub(r"(?<!\\)[*`]", "", cell).replace(" [", "\n[").replace(", p = ", "\np = ") for cell in cells]
    return [_ESCAPED.sub(r"\1", cell) for cell in broken]


def _tables(rows: Sequence[Row], console: Console, lead: int) -> Iterator[Table]:
    """The table in pieces that fit; a column that does not even fit beside the first ones is folded."""
    start, columns = lead, len(rows[0])
    unbounded = console.options.update(max_width=WIDEST)

    def fits(end: int) -> bool:
        return Measurement.get(console, unbounded, _table(rows, lead, start, end)).maximum <= console.width

    while start < columns:
        end = start + 1
        while end < columns and fits(end + 1):
            end += 1
        yield _table(rows, lead, start, end)
        start = end


def _table(rows: Sequence[Row], lead: int, start: int, end: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for place in (*range(lead), *range(start, end)):
        table.add_column(Text(rows[0][place]), overflow="fold")  # a name in brackets is no markup
    for row in rows[1:]:
        table.add_row(*map(Text, (*row[:lead], *row[start:end])))
    return table
