"""The README's figures are those of results/, and the script that writes them touches nothing else."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "readme_figures.py"
SPEC = importlib.util.spec_from_file_location("readme_figures", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
figures = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(figures)

README = f"# Name\n\nbefore\n{figures.START}\nold\n{figures.END}\nafter\n"


def test_the_readme_is_in_sync_with_the_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == figures.updated(readme, ROOT / "results"), "run: python benchmarks/readme_figures.py"


def test_without_results_the_block_says_so(tmp_path):
    text = figures.updated(README, tmp_path)
    assert figures.NOTHING in text
    assert "old" not in text
    assert text.startswith("# Name\n\nbefore\n")
    assert text.endswith("\nafter\n")


def test_every_file_gives_its_rows(tmp_path):
    miou = {"value": 0.6543, "low": 0.6, "high": 0.7}
    micro = {"miou": miou, "acc": {"0.5": None}}
    names = {"f1": {"value": 0.987, "low": 0.98, "high": 0.99}, "false_box_rate": {"value": 0.0011}}
    rows = ("demo", "shuffled report", "blank image")
    table = [{"row": row, "micro": micro, "identification": names} for row in rows]
    files = {
        "evaluation/metrics.json": {"protocols": {"generate": table}},
        "evaluation-both/metrics.json": {"protocols": {"generate": table}},
        "metrics.json": {"seconds_million_boxes": 9.87, "peak_gb": 0.54},
        "coverage.json": {"coverage": 0.9512},
        "ground.json": {"ms_512": 61.2, "s_dicom_2000": 0.345, "s_load": 2.22},
        "phantom.json": {"ms_per_image": 58.0, "class_mean_box_miou": 0.1234},
        "images.json": {"synthetic_2000_16_bit": {"median_ms": 77.0}},
        "reports.json": {
            "reports": 1000,
            "macro_f1": 0.8765,
            "laterality_accuracy": 0.9321,
            "normal_false_findings": 0.0456,
            "reports_per_second": 432.0,
        },
        "real.json": {"nih_bbox": {"phrases": 9, "miou": 0.0123}, "dicom": {"phrases": 0, "miou": None}},
    }
    for name, values in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(values), encoding="utf-8")
    text = figures.updated(README, tmp_path)
    expected = (
        "0.654 [0.600, 0.700]",
        "shuffled report",
        "blank image",
        "phrase F1, model alone | 0.987 [0.980, 0.990]",
        "absent phrases given a box, model and parser | 0.001",
        "10 s, 0.5 GB",
        "0.951",
        "61 ms",
        "0.34 s",
        "2.2 s",
        "58 ms",
        "77 ms",
        "0.876",
        "side of findings read in them | 0.932",
        "normal ones with a finding read in them | 0.046",
        "432",
        "0.012",
    )
    for words in expected:
        assert words in text
    assert "dicom (" not in text
    assert figures.updated(text, tmp_path) == text


@pytest.mark.parametrize("readme", ["no markers", README + README, f"{figures.END} {figures.START}"])
def test_a_readme_without_one_pair_of_markers_is_left_alone(tmp_path, readme):
    path = tmp_path / "README.md"
    path.write_text(readme, encoding="utf-8")
    command = [sys.executable, str(SCRIPT), "--readme", str(path), "--results", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == 1
    assert path.read_text(encoding="utf-8") == readme
