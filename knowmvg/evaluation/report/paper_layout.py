"""The layout of a paper's table with lines of ours.

Ours stand in a column group of their own; in a published row only where that row names the same variant (``like``),
else in rows below. Where the columns are findings, ours are rows below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowmvg.evaluation.intervals import Estimate
from knowmvg.evaluation.report.grid import Block, Grid, Group, Line
from knowmvg.evaluation.report.published import PublishedTable

_MARKS = {True: "✓", False: ""}


@dataclass(frozen=True, slots=True)
class Own:
    """A line of ours: its name and its estimates by our names (``acc@0.5``, ``mIoU`` or findings), as shares of one."""

    name: str
    numbers: Mapping[str, Estimate | None]


def laid_out(table: PublishedTable, ours: Sequence[Own], letters: Mapping[str, str], apart: str) -> Grid:
    """The table as texts, still without title and footnotes.

    ``letters`` are those of its footnotes by key; ``apart`` is the letter of the footnote to ours.
    """
    return (_in_columns if table.own == "columns" else _in_rows)(table, ours, letters, apart)


def scale_of(table: PublishedTable) -> int:
    """What a share of one is in the table's unit."""
    return 100 if table.unit == "percent" else 1


def _in_columns(table: PublishedTable, ours: Sequence[Own], letters: Mapping[str, str], apart: str) -> Grid:
    """Ours right of the paper's groups; lines without a like one below."""
    places, metrics = len(table.groups) * len(table.metrics), tuple(table.metrics)
    lines, rest = [], list(ours)
    for row in table.rows:
        like = next((own for own in rest if own.name == row.like), None)
        if like is not None:
            rest.remove(like)
        cells = _own_cells(table, like) if like is not None else ("",) * len(metrics)
        lines.append(Line((*_lead(row.row), *_printed(table, row.values), *cells), _letters(row.notes, letters)))
    empty = ("",) * (len(table.lead) - 1 + places)
    below = tuple(Line((own.name, *empty, *_own_cells(table, own))) for own in rest)
    groups = [Group("", len(table.lead)), *_groups(table, letters), Group("this run", len(metrics), (apart,))]
    header = (*table.lead, *metrics * len(table.groups), *(_own_name(table, name) for name in metrics))
    blocks = [Block(tuple(lines))] + ([Block(below, "Not in the paper")] if below else [])
    return Grid("", header, tuple(blocks), tuple(groups), apart=len(table.lead) + places)


def _in_rows(table: PublishedTable, ours: Sequence[Own], letters: Mapping[str, str], apart: str) -> Grid:
    """Ours below the paper's lines, under a heading of their own."""
    lines = [Line((*_lead(row.row), *_printed(table, row.values)), _letters(row.notes, letters)) for row in table.rows]
    own = [Line((own.name, *[""] * (len(table.lead) - 1), *_own_cells(table, own)), (apart,)) for own in ours]
    groups = (Group("", len(table.lead)), *_groups(table, letters))
    blocks = (Block(tuple(lines), "Published"), Block(tuple(own), "This run"))
    return Grid("", (*table.lead, *table.metrics), blocks, groups)


def _groups(table: PublishedTable, letters: Mapping[str, str]) -> list[Group]:
    """The paper's column groups; the table's own footnotes hang on the first."""
    found = []
    for place, name in enumerate(table.groups):
        keys = (*(table.notes if place == 0 else ()), *table.group_notes.get(name, ()))
        found.append(Group(name, len(table.metrics), _letters(keys, letters)))
    return found


def _letters(keys: Sequence[str], letters: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(letters[key] for key in keys)


def _lead(cells: Sequence[str | bool]) -> list[str]:
    return [_MARKS[cell] if isinstance(cell, bool) else cell for cell in cells]


def _printed(table: PublishedTable, values: Sequence[float | None]) -> list[str]:
    return ["-" if value is None else _as_printed(value, table.decimals) for value in values]


def _as_printed(value: float, decimals: int) -> str:
    """With the table's decimals, or more where the paper gives more."""
    return f"{value:.{decimals}f}" if round(value, decimals) == value else f"{value:g}"


def _own_cells(table: PublishedTable, own: Own) -> tuple[str, ...]:
    return tuple(
        _own_cell(own.numbers.get(ours) if ours is not None else None, table) for ours in table.metrics.values()
    )


def _own_cell(found: Estimate | None, table: PublishedTable) -> str:
    if found is None:
        return "-"
    scale, digits = scale_of(table), table.decimals
    text = f"{scale * found.value:.{digits}f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} [{scale * found.low:.{digits}f}, {scale * found.high:.{digits}f}]"


def _own_name(table: PublishedTable, printed: str) -> str:
    return table.metrics[printed] or printed
