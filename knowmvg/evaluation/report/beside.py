"""Our numbers in the layout of a paper's table, set apart from the paper's.

A footnote to ours names data, number of phrases and protocol, and says that nothing is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase

from knowmvg.evaluation.finding_columns import FindingColumns
from knowmvg.evaluation.intervals import Estimate
from knowmvg.evaluation.report.csv_text import lines
from knowmvg.evaluation.report.grid import Grid
from knowmvg.evaluation.report.paper_layout import Own, laid_out, scale_of
from knowmvg.evaluation.report.published import Paper, PublishedTable, note_keys, papers, row_name
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.tables import Row, Table

APART = (
    "Ours were measured on other data or another split, of another size and with the named protocol. They stand beside "
    "the published numbers to show the layout; no difference between the two means anything."
)


@dataclass(frozen=True, slots=True)
class Beside:
    """A published table with lines of ours, which ``data`` and ``protocol`` describe; ``note`` says more of them."""

    paper: str
    table: str
    own: tuple[Own, ...]
    data: str
    protocol: Protocol
    note: str = ""

    def to_grid(self) -> Grid:
        """The paper's layout. Raises ``KeyError`` for an unknown paper or table."""
        paper, table = self._source()
        letters = dict(zip([*note_keys(table), APART], ascii_lowercase, strict=False))
        heading = self.heading[0].upper() + self.heading[1:]
        texts = {**paper.notes, APART: " ".join(filter(None, (f"{heading}.", self.note, APART)))}
        unit = "per cent" if table.unit == "percent" else "shares of one"
        return replace(
            laid_out(table, self.own, letters, letters[APART]),
            title=f"{paper.name}, Table {table.id}: {table.caption} ({unit}; arXiv {paper.arxiv})",
            notes=tuple((letter, texts[key]) for key, letter in letters.items()),
            name=f"published-{self.paper}-{table.id.lower()}-beside-{self.protocol}",
        )

    def to_csv(self) -> str:
        """One line a number, all as shares of one, with its source: ``published`` or ``this run``.

        ``metric`` is our name where we have one; ``printed`` is the paper's.
        """
        paper, table = self._source()
        scale = scale_of(table)
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
            for name in filter(None, table.metrics.values()):
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


def beside_findings(paper: str, table: str, rows: Sequence[FindingColumns], data: str) -> Beside:
    """Models' IoU or Dice by finding beside a published table by finding; a footnote says what the means are over.

    Raises ``ValueError`` for no model, or models on other findings or of two protocols.
    """
    if len({(row.findings, row.protocol, row.n_phrases) for row in rows}) != 1:
        raise ValueError("expected models of one protocol on the same findings")
    own = tuple(Own(row.name, row.numbers()) for row in rows)
    return Beside(paper, table, own, data, rows[0].protocol, rows[0].note())


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
