"""Tables of results, as Markdown and as plain data. A table holds rows of one protocol and refuses others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from knowmvg.evaluation.intervals import Difference, Estimate
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.summary import Localisation, Summary

Cell: TypeAlias = str | int | bool | Estimate | None

NOTE = (
    "acc@t: share of phrases with IoU of t or more (printed as AP10, AP30 and AP50 in the papers; an accuracy, not an "
    "average precision). In brackets: 95 % bootstrap interval over patients."
)


@dataclass(frozen=True, slots=True)
class Row:
    """A named result; ``difference`` is its mIoU minus that of the first row, paired by phrase."""

    name: str
    summary: Summary
    difference: Difference | None = None

    @property
    def protocol(self) -> Protocol:
        """The protocol of the row's numbers."""
        return self.summary.protocol


@dataclass(frozen=True, slots=True)
class TableRow:
    """The cells of one line, and the protocol that they were measured by."""

    protocol: Protocol
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Lines of one protocol under a header.

    Raises:
        ValueError: a line of another protocol, or with another number of cells than the header.
    """

    title: str
    protocol: Protocol
    header: tuple[str, ...]
    rows: tuple[TableRow, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if row.protocol != self.protocol:
                raise ValueError(f"expected rows of the protocol {self.protocol}, got one of {row.protocol}")
            if len(row.cells) != len(self.header):
                raise ValueError(f"expected {len(self.header)} cells a row, got {len(row.cells)}")

    def to_markdown(self) -> str:
        """The title and a pipe table, estimates as ``value [low, high]``."""
        lines = [f"### {self.title} ({self.protocol})", "", _line(self.header), _line(["---"] * len(self.header))]
        return "\n".join([*lines, *(_line([shown(cell) for cell in row.cells]) for row in self.rows)]) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The table as plain data: a dict a line, keyed by the header; strict JSON once dumped."""
        rows = [dict(zip(self.header, map(_plain, row.cells), strict=True)) for row in self.rows]
        return {"title": self.title, "protocol": self.protocol.value, "rows": rows}


def main_table(rows: Sequence[Row], title: str = "Model and controls") -> Table:
    """A line a row: accuracies and mIoU with intervals, naming and false boxes where phrases were generated."""
    if not rows:
        raise ValueError("expected at least one row, got none")
    accuracies = [f"acc@{t}" for t in rows[0].summary.micro.acc]
    header = (
        "row",
        *accuracies,
        "mIoU",
        "minus first row",
        "macro mIoU",
        "phrase F1",
        "false boxes",
        "no box",
        "phrases",
        "patients",
    )
    return Table(title, rows[0].protocol, header, tuple(TableRow(row.protocol, _main_cells(row)) for row in rows))


def finding_table(row: Row) -> Table:
    """A line a finding of one row, the most frequent first, and the mean over findings at the end."""
    summary = row.summary
    header = ("finding", *(f"acc@{t}" for t in summary.micro.acc), "mIoU", "phrases", "patients")
    ranked = sorted(summary.per_finding.items(), key=lambda item: (-item[1].n_phrases, item[0]))
    lines = [
        TableRow(row.protocol, (name, *_box_cells(found), found.n_phrases, found.n_patients)) for name, found in ranked
    ]
    macro = (*summary.macro.acc.values(), summary.macro.miou)
    everyone = (summary.micro.n_phrases, summary.micro.n_patients)
    lines.append(TableRow(row.protocol, ("mean over findings", *macro, *everyone)))
    return Table(f"{row.name}, by finding", row.protocol, header, tuple(lines))


def calibration_line(row: Row) -> str:
    """One sentence on whether the row's scores tell its IoU."""
    found = row.summary.calibration
    if found.gap is None:
        return "Scores: no phrase was given a box."
    rank = "undefined" if found.spearman is None else f"{found.spearman:.3f}"
    boxed = f"over {found.n} phrases with a box"
    return f"Scores {boxed}: Spearman correlation with IoU {rank}, mean score minus mean IoU {found.gap:+.3f}."


def _main_cells(row: Row) -> tuple[Cell, ...]:
    summary, names = row.summary, row.summary.identification
    naming = (names.f1, names.false_box_rate) if names is not None else (None, None)
    counts = (summary.micro.n_without_box, summary.micro.n_phrases, summary.micro.n_patients)
    return (row.name, *_box_cells(summary.micro), row.difference, summary.macro.miou, *naming, *counts)


def _box_cells(found: Localisation) -> tuple[Cell, ...]:
    return (*found.acc.values(), found.miou)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def shown(cell: Cell) -> str:
    """A cell as it is read: ``-`` for unknown, estimates as ``value [low, high]``, differences signed, with p."""
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "✓" if cell else ""
    if not isinstance(cell, Estimate):
        return str(cell)
    sign = "+" if isinstance(cell, Difference) else ""
    text = f"{cell.value:{sign}.3f}"
    if cell.low is not None and cell.high is not None:
        text += f" [{cell.low:{sign}.3f}, {cell.high:{sign}.3f}]"
    return text + (f", p = {cell.p:.2g}" if isinstance(cell, Difference) and cell.p is not None else "")


def _plain(cell: Cell) -> Any:
    return cell.model_dump(mode="json") if isinstance(cell, Estimate) else cell
