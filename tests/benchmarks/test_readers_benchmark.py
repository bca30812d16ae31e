"""The benchmark of the readers: what it makes is read, and a run of its own says the same."""

import json
import sys

import pytest

from benchmarks import readers


@pytest.mark.parametrize("source", readers.SOURCES)
def test_what_is_made_is_read(source):
    figures = readers.measured(source, 60)
    assert (figures["source"], figures["rows"]) == (source, 60)
    assert figures["studies"] > 0
    assert figures["peak_mb"] > 0


def test_all_sizes_are_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(readers, "SIZES", {"csv": (30, 60)})
    monkeypatch.setattr(sys, "argv", ["readers.py", "--json", str(tmp_path / "out.json")])
    readers.main()
    told = json.loads((tmp_path / "out.json").read_text())
    assert [(one["source"], one["rows"]) for one in told] == [("csv", 30), ("csv", 60)]
    assert len(capsys.readouterr().out.splitlines()) == 2
