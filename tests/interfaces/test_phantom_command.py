from __future__ import annotations

import json
from pathlib import Path

import pytest

from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.interfaces.cli.main import main


def phantom(out: Path, *options: str) -> int:
    return main(["phantom", str(out), "--studies", "2", "--size", "64", "--workers", "1", *options])


def test_a_data_set_is_written_and_can_be_read(tmp_path, capsys):
    out = tmp_path / "data"
    assert phantom(out, "--seed", "3") == 0
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 2
    studies = LabelledStudies(out, rows[0]["split"])
    assert studies[0].image.size == (64, 64)
    assert studies[0].report == rows[0]["report"]
    shown = capsys.readouterr()
    assert "knowmvg train" in shown.out
    assert shown.err == ""  # no progress bar where nobody watches


def test_an_earlier_data_set_is_only_replaced_when_asked(tmp_path):
    out = tmp_path / "data"
    assert phantom(out) == 0
    before = (out / "dataset.json").read_bytes()
    assert phantom(out, "--seed", "9") == 9
    assert (out / "dataset.json").read_bytes() == before
    assert phantom(out, "--seed", "9", "--overwrite") == 0
    assert (out / "dataset.json").read_bytes() != before


def test_a_folder_that_is_no_data_set_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert phantom(tmp_path, "--overwrite") == 9
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_an_interruption_is_told_and_leaves_no_data_set(tmp_path, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("knowmvg.sources.phantom.simulate.simulate", interrupted)
    assert phantom(tmp_path / "data") == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("--size", "32"), ("--size", "5000"), ("--seed", "-1"), ("--workers", "0")]
)
def test_numbers_out_of_range_end_with_2(name, value, tmp_path):
    assert phantom(tmp_path / "data", name, value) == 2
