"""The benchmark of grounding times, with a grounder that answers at once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from knowmvg.inference.session import Session

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def ground(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("benchmark_ground", FOLDER / "ground.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.torch, "set_num_threads", lambda number: None)
    for name in ("ROUNDS", "DICOM_ROUNDS", "FOLDER_ROUNDS", "WARM_UP"):
        monkeypatch.setattr(module, name, 1)
    monkeypatch.setattr(module, "STUDIES", 2)
    monkeypatch.setattr(module, "load_seconds", lambda model: 1.234)
    return module


def test_the_figures_are_times(ground, fake_grounder, monkeypatch):
    monkeypatch.setattr(ground, "load", lambda model: Session(fake_grounder()))
    figures = ground.measure(Path("model"))
    assert list(figures) == ["ms_512", "s_dicom_2000", "ms_study_one_by_one", "ms_study_folder", "s_load"]
    assert 0 < figures["ms_512"] < 1000 * 60
    assert 0 < figures["s_dicom_2000"] < 60
    assert 0 < figures["ms_study_folder"] < 1000 * 60
    assert figures["s_load"] == 1.23


def test_a_report_that_gives_no_box_gives_no_figure(ground, fake_grounder, monkeypatch, tmp_path):
    monkeypatch.setattr(ground, "REPORT", "No pneumothorax.")
    monkeypatch.setattr(ground, "load", lambda model: Session(fake_grounder()))
    with pytest.raises(SystemExit, match="two phrases"):
        ground.measure(tmp_path)
