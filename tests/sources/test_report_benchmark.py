"""The benchmark of report reading, on a few reports of our own and, where they are at hand, on those of Open-i."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "reports.py"
SHARED = Path(os.environ.get("KNOWMVG_SHARED_DATA", ROOT.parent / "shared" / "data"))
OPEN_I = SHARED / "openi_reports" / "reports.jsonl"


def call(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=120)


def run(data: Path, out: Path, *options: object) -> dict:
    done = call("--data", data, "--json", out, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text(encoding="utf-8"))


def test_figures_of_hand_made_reports(tmp_path):
    rows = [
        {"uid": "a", "findings": "Left effusion.", "mesh_major": ["Pleural Effusion/left"]},
        {"uid": "b", "findings": "Left effusion.", "mesh_major": ["Pleural Effusion/right/small"]},
        {"uid": "c", "findings": None, "impression": "Effusion.", "mesh_major": ["normal"]},
        {"uid": "d", "findings": "Clear lungs.", "mesh_major": ["normal"]},
        {"uid": "e", "findings": "Clear lungs.", "indication": "Mass.", "mesh_major": ["Hernia, Hiatal"]},
        {"uid": "f", "findings": "Possible effusion.", "mesh_major": ["Pleural Effusion/bilateral"]},
    ]
    data = tmp_path / "reports.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = run(data, tmp_path / "out.json")
    effusion = result["per_finding"]["Pleural Effusion"]
    assert effusion == {"n": 3, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}
    assert result["per_finding"]["Hernia Hiatal"]["n"] == 1
    assert result["per_finding"]["Mass"] == {"n": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert len(result["per_finding"]) == 19
    assert result["macro_f1"] is None
    assert result["laterality_accuracy"] == 0.5
    assert result["normal_false_findings"] == 0.5
    assert result["with_possible"]["per_finding"]["Pleural Effusion"]["recall"] == 1.0
    assert result["reports_per_second"] > 0
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []


def test_errors_are_listed_with_their_sentences(tmp_path):
    rows = [
        {"uid": "a", "findings": "Heart normal. Left effusion.", "mesh_major": ["Pleural Effusion/right"]},
        {"uid": "b", "findings": "Possible nodule. No mass.", "mesh_major": ["Nodule"]},
        {"uid": "CXR1661", "findings": "Rib fracture.", "mesh_major": ["normal"]},
        {"uid": "d", "findings": "Clear lungs.", "mesh_major": ["normal"]},
    ]
    data, errors = tmp_path / "reports.jsonl", tmp_path / "errors.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = run(data, tmp_path / "out.json", "--errors", errors)
    side, missed, false = (json.loads(line) for line in errors.read_text(encoding="utf-8").splitlines())
    assert (side["kind"], side["expected"], side["got"]) == ("side", "present, right", "present, left")
    assert side["sentences"] == ["Left effusion."]
    assert (missed["kind"], missed["sentences"], missed["got"]) == ("missed", ["Possible nodule."], "nothing")
    assert missed["read"] == ["nodule | possible"]
    assert (false["kind"], false["heading"]) == ("false", "Fractures Bone")
    assert "normal" in false["index"]  # judged in report_index_errors.yaml
    assert result["normal_false_findings"] == 0.5
    assert result["index_judged"]["normal_false_findings"] == 0.0
    run(data, tmp_path / "out.json", "--errors", tmp_path / "errors.md")
    assert "> Left effusion." in (tmp_path / "errors.md").read_text(encoding="utf-8")


def test_errors_hold_report_text_and_stay_out_of_the_repository(tmp_path):
    data = tmp_path / "reports.jsonl"
    data.write_text(json.dumps({"uid": "a", "findings": "Mass.", "mesh_major": ["normal"]}) + "\n", encoding="utf-8")
    done = call("--data", data, "--errors", ROOT / "errors.md")
    assert done.returncode != 0
    assert "outside the repository" in done.stderr
    assert not (ROOT / "errors.md").exists()


def test_sentences_by_phenomenon(tmp_path):
    file = tmp_path / "phenomena.yaml"
    lines = ["pleural effusion present left", "mass absent"]
    sentences = {"Left effusion.": lines[:1], "No mass.": ["mass present"], "Left effusion, no mass.": lines}
    collection = {"schema": "knowmvg.report-phenomena/1", "phenomena": {"some": sentences}}
    file.write_text(json.dumps(collection), encoding="utf-8")
    done = call("--phenomena", file, "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    row = {"sentences": 3, "findings": 1.0, "assertions": 2 / 3, "all": 2 / 3}
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["phenomena"] == {"some": row, "all": row}
    assert "[some] No mass." in done.stdout


@pytest.mark.parametrize(
    "text", ["", "schema: other", "schema: knowmvg.report-phenomena/1\nphenomena: {a: {b: [mass]}}"]
)
def test_a_collection_that_is_none(tmp_path, text):
    file = tmp_path / "phenomena.yaml"
    file.write_text(text, encoding="utf-8")
    done = call("--phenomena", file)
    assert done.returncode != 0
    assert "expected sentences of schema" in done.stderr


def test_nothing_to_measure():
    assert "expected --data, --phenomena or both" in call().stderr


def test_data_that_is_no_json(tmp_path):
    data = tmp_path / "reports.jsonl"
    data.write_text("no json\n", encoding="utf-8")
    done = call("--data", data, "--json", tmp_path / "out.json")
    assert done.returncode != 0
    assert "expected reports as JSON lines" in done.stderr
    assert not (tmp_path / "out.json").exists()


@pytest.mark.skipif(not OPEN_I.is_file(), reason=f"the Open-i reports are not at {OPEN_I} (KNOWMVG_SHARED_DATA)")
def test_open_i_targets(tmp_path):
    result = run(OPEN_I, tmp_path / "out.json")
    assert result["macro_f1"] >= 0.89
    assert result["laterality_accuracy"] >= 0.95
    assert result["normal_false_findings"] <= 0.02
    assert result["reports_per_second"] >= 300
