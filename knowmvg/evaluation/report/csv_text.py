"""Tables for spreadsheets and scripts: CSV with a column for each number, at full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from knowmvg.evaluation.intervals import Difference, Estimate
from knowmvg.evaluation.tables import Cell, Table


def csv_text(table: Table) -> str:
    """The table as CSV (RFC 4180, UTF-8, line feeds), the protocol in the first column.

    A column of estimates becomes ``name``, ``name low`` and ``name high``, one of differences ``name p`` and
    ``name detectable`` too. What is
    unknown is empty, a mark is ``true`` or ``false``.
    """
    kinds = [_suffixes([row.cells[c] for row in table.rows]) for c in range(len(table.header))]
    names = [f"{name}{s}" for name, suffixes in zip(table.header, kinds, strict=True) for s in suffixes]
    rows = [
        [table.protocol.value, *(v for c, s in zip(row.cells, kinds, strict=True) for v in _values(c, s))]
        for row in table.rows
    ]
    return lines([["protocol", *names], *rows])


def lines(rows: Iterable[Sequence[str | int | float | bool | None]]) -> str:
    """Rows of plain values as CSV text.

    A text that a spreadsheet would run as a formula (``=``, ``+``, ``-``, ``@`` in front) gets an apostrophe.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([[_safe(value) for value in row] for row in rows])
    return stream.getvalue()


def _suffixes(cells: Sequence[Cell]) -> tuple[str, ...]:
    if any(isinstance(cell, Difference) for cell in cells):
        return "", " low", " high", " p", " detectable"
    return ("", " low", " high") if any(isinstance(cell, Estimate) for cell in cells) else ("",)


def _values(cell: Cell, suffixes: tuple[str, ...]) -> list[str | int | float | bool | None]:
    if not isinstance(cell, Estimate):
        return [cell, *[None] * (len(suffixes) - 1)]
    tested = (cell.p, cell.detectable) if isinstance(cell, Difference) else (None, None)
    found = [cell.value, cell.low, cell.high, *tested]
    return list(found[: len(suffixes)])


def _safe(value: str | int | float | bool | None) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
