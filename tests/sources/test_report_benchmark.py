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


def run(data: Path, out: Path, *options: str) -> dict:
    command = [sys.executable, str(SCRIPT), "--data", str(data), "--json", str(out), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=120)
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


def test_data_that_is_no_json(tmp_path):
    data = tmp_path / "reports.jsonl"
    data.write_text("no json\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--data", str(data), "--json", str(tmp_path / "out.json")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "expected reports as JSON lines" in done.stderr
    assert not (tmp_path / "out.json").exists()


@pytest.mark.skipif(not OPEN_I.is_file(), reason=f"the Open-i reports are not at {OPEN_I} (KNOWMVG_SHARED_DATA)")
def test_open_i_targets(tmp_path):
    result = run(OPEN_I, tmp_path / "out.json")
    assert result["macro_f1"] >= 0.85
    assert result["laterality_accuracy"] >= 0.90
    assert result["normal_false_findings"] <= 0.05
