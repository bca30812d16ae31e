"""The benchmarks of scoring, at a size that takes moments."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def benchmark(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_time_and_memory_of_few_boxes():
    found = benchmark("metrics").time_million(3000, resamples=20)
    assert found["seconds_million_boxes"] == pytest.approx(
        found["seconds_scoring"] + found["seconds_intervals"], abs=0.02
    )
    assert found["predicted_boxes"] == found["reference_boxes"] == pytest.approx(3000, rel=0.05)
    assert 0.01 < found["peak_gb"] < 8


def test_ap_is_that_of_pycocotools_and_a_wrong_one_would_show(monkeypatch):
    pytest.importorskip("pycocotools")
    module = benchmark("metrics")
    assert module.compare_ap(1) < 1e-6
    right = module.coco_ap
    monkeypatch.setattr(module, "coco_ap", lambda *sets, **names: np.array(right(*sets, **names)) + 1e-5)
    assert module.compare_ap(1) > 1e-6


def test_the_truth_of_the_simulation_is_that_of_a_large_test_set():
    module = benchmark("coverage")
    ious, better, patients = module.draw(np.random.default_rng(0), 60_000)
    found = module.figures_of(ious, better).mean(axis=0)
    assert found == pytest.approx(module.truth(), abs=0.006)
    assert len(set(patients)) == 60_000


def test_coverage_of_few_data_sets(monkeypatch, tmp_path):
    module = benchmark("coverage")
    out = tmp_path / "coverage.json"
    monkeypatch.setattr(sys, "argv", ["coverage.py", "--json", str(out), "--data-sets", "12", "--also", "10"])
    module.main()
    data = json.loads(out.read_text())
    covered = [row["coverage"] for row in data["figures"].values()]
    assert data["coverage"] in covered
    assert min(covered) > 0.5
    for row in data["figures"].values():
        assert row["coverage"] + row["too_high"] + row["too_low"] == pytest.approx(1, abs=1e-3)
    assert set(data["by_patients"]["10"]) == {"figures", "percentile"}
