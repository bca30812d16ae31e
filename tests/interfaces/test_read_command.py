from __future__ import annotations

import json
from pathlib import Path

import pytest

from knowmvg.core.records import Phrase
from knowmvg.interfaces.cli.main import main

REPORT = "INDICATION: Pneumonia?\nFINDINGS: Small left pleural effusion. No pneumothorax. Possible edema.\n"


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "120")
    path = tmp_path / "report.txt"
    path.write_text(REPORT, encoding="utf-8")
    return path


def test_the_table_shows_what_was_understood(report, capsys):
    assert main(["read", str(report)]) == 0
    shown = capsys.readouterr().out
    for words in ("Small left pleural effusion", "33-60", "absent", "possible", "left", "findings"):
        assert words in shown


def test_json_holds_phrases_that_are_verbatim(report, capsys):
    assert main(["read", str(report), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    phrases = [Phrase.model_validate(phrase) for phrase in read["phrases"]]
    assert {p.finding: p.assertion.value for p in phrases} == {
        "pleural effusion": "present",
        "pneumothorax": "absent",
        "edema": "possible",
    }
    assert all(REPORT[slice(*p.span)] == p.text for p in phrases if p.span)
    assert [s["section"] for s in read["sections"]] == ["indication", "findings"]


def test_a_report_without_finding_is_no_error(report, capsys):
    report.write_text("The patient was seen.")
    assert main(["read", str(report)]) == 0
    assert "No diagnostic phrase" in capsys.readouterr().out


def test_nothing_is_written(report, capsys):
    before = sorted(report.parent.iterdir())
    main(["read", str(report)])
    assert sorted(report.parent.iterdir()) == before
