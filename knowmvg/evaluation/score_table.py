"""The table of every metric of one row."""

from __future__ import annotations

from knowmvg.evaluation.tables import Row, Table, TableRow


def score_table(row: Row) -> Table:
    """A line a metric, by its name in docs/metrics.md; empty where nothing was scored."""
    lines = tuple(TableRow(row.protocol, (name, value)) for name, value in row.summary.scores.items())
    return Table(f"{row.name}, further metrics", row.protocol, ("metric", "value"), lines)
