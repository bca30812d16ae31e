"""Our numbers in the layout of a paper's table, set apart from the paper's.

Ours stand in a column group of their own that names data, number of phrases and protocol; in a published row only where
that row names the same variant (``like``), else in rows below. Where the columns are findings, ours are rows below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from knowmvg.evaluation.intervals import Estimate
from knowmvg.evaluation.report.csv_text import lines
from knowmvg.evaluation.report.grid import Block, Grid, Group, Line
from knowmvg.evaluation.report.published import Paper, PublishedTable, note_keys, papers, row_name
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.tables import Row, Table

APART = (
    "Ours were measured on other data, of another size and with the named protocol. They stand beside the published "
    "numbers to show the layout; no difference between the two means anything."
)
_MARKS = {True: "✓", False: ""}


@dataclass(frozen=True, slots=True)
class Own:
    """A line of ours: its name and its estimates by our names (``acc@0.5``, ``mIoU`` or findings), as shares of one."""

    name: str
    numbers: Mapping[str, Estimate | None]


@dataclass(frozen=True, slots=True)
class Beside:
    """A published table with lines of ours, which ``data`` and ``protocol`` describe."""

    paper: str
    table: str
    own: tuple[Own, ...]
    data: str
    protocol: Protocol

    def to_grid(self) -> Grid:
        """The paper's layout. Raises ``KeyError`` for an unknown paper or table."""
        paper, table = self._source()
        letters = dict(zip([*note_keys(table), APART], ascii_lowercase, strict=False))
        heading = self.heading[0].upper() + self.heading[1:]
        texts = {**paper.notes, APART: f"{heading}. {APART}"}
        grid = _in_columns(table, self, letters) if table.own == "columns" else _in_rows(table, self, letters)
        title = f"{paper.name}, Table {table.id}: {table.caption} ({_unit(table)}; arXiv {paper.arxiv})"
        notes = tuple((letter, texts[key]) for key, letter in letters.items())
        name = f"published-{self.paper}-{table.id.lower()}-beside-{self.protocol}"
        return Grid(title, grid.header, grid.blocks, grid.groups, len(table.lead), notes, name, grid.apart)

    def to_csv(self) -> str:
        """One line a number, all as shares of one, with its source: ``published`` or ``this run``.

        ``metric`` is our name where we have one; ``printed`` is the paper's.
        """
        paper, table = self._source()
        scale = _scale(table)
        rows: list[list[str | float | None]] = [
            ["source", "paper", "table", "row", "data", "protocol", "metric", "printed", "value", "low", "high"]
        ]
        places = [(group, metric) for group in table.groups for metric in table.metrics]
        for published in table.rows:
            for (group, metric), value in zip(places, published.values, strict=True):
                known = None if value is None else float(f"{value / scale:.6g}")
                named = row_name(table, published)
                ours = table.metrics[metric] or metric
                rows.append(["published", paper.name, table.id, named, group, None, ours, metric, known, None, None])
        for own in self.own:
            for name in _wanted(table):
                found = own.numbers.get(name)
                numbers = [None] * 3 if found is None else [found.value, found.low, found.high]
                rows.append(["this run", None, None, own.name, self.data, self.protocol.value, name, None, *numbers])
        return lines(rows)

    @property
    def heading(self) -> str:
        """What stands above our numbers."""
        return f"this run: {self.data}, {self.protocol}"

    def _source(self) -> tuple[Paper, PublishedTable]:
        paper = papers()[self.paper]
        return paper, paper.table(self.table)


def beside_rows(paper: str, table: str, rows: Sequence[Row], data: str) -> Beside:
    """A model and its controls beside a published table of accuracies. Raises ``ValueError`` without a row."""
    if not rows:
        raise ValueError("expected at least one row, got none")
    own = [Own(row.name, _accuracies(row)) for row in rows]
    return Beside(paper, table, tuple(own), _described(data, rows[0]), rows[0].protocol)


def beside_findings(paper: str, table: str, row: Row, data: str) -> Beside:
    """A model's mIoU by finding beside a published table by finding."""
    found = {name: numbers.miou for name, numbers in row.summary.per_finding.items()}
    return Beside(paper, table, (Own(row.name, found),), _described(data, row), row.protocol)


def beside_table(paper: str, table: str, ours: Table, data: str) -> Beside:
    """A table of ours whose first column names the line, an ablation's say, beside a published one."""
    own = []
    for line in ours.rows:
        cells = dict(zip(ours.header, line.cells, strict=True))
        numbers = {name: cell if isinstance(cell, Estimate) else None for name, cell in cells.items()}
        own.append(Own(str(line.cells[0]), numbers))
    return Beside(paper, table, tuple(own), data, ours.protocol)


def _accuracies(row: Row) -> dict[str, Estimate | None]:
    micro = row.summary.micro
    return {**{f"acc@{t}": found for t, found in micro.acc.items()}, "mIoU": micro.miou}


def _described(data: str, row: Row) -> str:
    return f"{data}, {row.summary.micro.n_phrases} phrases of {row.summary.micro.n_patients} patients"


def _in_columns(table: PublishedTable, beside: Beside, letters: Mapping[str, str]) -> Grid:
    """Ours right of the paper's groups; lines without a like one below."""
    places, metrics = len(table.groups) * len(table.metrics), tuple(table.metrics)
    by_name = {own.name: own for own in beside.own}
    taken = {row.like for row in table.rows if row.like in by_name}
    lines = []
    for row in table.rows:
        ours = _own_cells(table, by_name[row.like]) if row.like in taken else ("",) * len(metrics)
        lines.append(Line((*_lead(row.row), *_printed(table, row.values), *ours), _letters(row.notes, letters)))
    rest = [
        Line((own.name, *[""] * (len(table.lead) - 1 + places), *_own_cells(table, own)))
        for own in beside.own
        if own.name not in taken
    ]
    groups = [Group("", len(table.lead)), *_groups(table, letters), Group("this run", len(metrics), (letters[APART],))]
    header = (*table.lead, *metrics * len(table.groups), *(_own_name(table, name) for name in metrics))
    blocks = [Block(tuple(lines))] + ([Block(tuple(rest), "Not in the paper")] if rest else [])
    return Grid("", header, tuple(blocks), tuple(groups), apart=len(table.lead) + places)


def _in_rows(table: PublishedTable, beside: Beside, letters: Mapping[str, str]) -> Grid:
    """Ours below the paper's lines, under a heading of their own."""
    lines = [Line((*_lead(row.row), *_printed(table, row.values)), _letters(row.notes, letters)) for row in table.rows]
    own = [
        Line((own.name, *[""] * (len(table.lead) - 1), *_own_cells(table, own)), (letters[APART],))
        for own in beside.own
    ]
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
    scale, digits = _scale(table), table.decimals
    text = f"{scale * found.value:.{digits}f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} [{scale * found.low:.{digits}f}, {scale * found.high:.{digits}f}]"


def _own_name(table: PublishedTable, printed: str) -> str:
    return table.metrics[printed] or printed


def _wanted(table: PublishedTable) -> list[str]:
    return [ours for ours in table.metrics.values() if ours is not None]


def _scale(table: PublishedTable) -> int:
    return 100 if table.unit == "percent" else 1


def _unit(table: PublishedTable) -> str:
    return "per cent" if table.unit == "percent" else "shares of one"
