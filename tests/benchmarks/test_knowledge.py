"""The benchmark of the graph's build: what it writes is read, and its proportion is right."""

import pytest

from benchmarks.knowledge import GOAL, Run, scaled, write_studies
from knowmvg.sources.manifest import read_rows


def test_studies_are_in_the_training_split_and_hold_reports(tmp_path):
    write_studies(tmp_path, 3)
    rows = list(read_rows(tmp_path, "train"))
    assert len(rows) == 3
    assert all(row.report for row in rows)
    assert len({row.report for row in rows}) == 3


def test_the_start_counts_once():
    clock, cpu = scaled(Run(12.0, 7.0, 100.0), Run(2.0, 2.0, 50.0), GOAL // 10)
    assert (clock, cpu) == (pytest.approx(102.0), pytest.approx(52.0))
    assert scaled(Run(12.0, 7.0, 100.0), Run(2.0, 2.0, 50.0), GOAL) == (12.0, 7.0)
