from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import near_images
from tests.sources.data_folders import row, write_folder


def pictures(folder: Path, count: int) -> list[Path]:
    """Smooth pictures that differ from each other."""
    folder.mkdir()
    files = []
    for number in range(count):
        coarse = np.random.default_rng(number).integers(30, 220, (12, 12)).astype(np.uint8)
        files.append(folder / f"{number}.png")
        Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC).save(files[-1])
    return files


def test_copies_are_found_and_others_are_not(tmp_path):
    result = near_images.measure(pictures(tmp_path / "images", 6), 4)
    assert (result["images"], result["pairs"], result["pairs_flagged"], result["images_flagged"]) == (6, 15, 0, 0)
    assert result["nearest_other"]["least"] > result["most_bits"]
    assert result["copies"].keys() == near_images.COPIES.keys()
    assert all(one["n"] == 4 for one in result["copies"].values())
    assert result["copies"]["same pixels"] == {"n": 4, "found": 1.0, "median_bits": 0.0, "most_bits": 0}
    assert result["copies"]["half the size"]["found"] == 1.0
    assert result["copies"]["mirrored"]["found"] == 0.0


def test_two_patients_with_one_image_are_a_false_alarm(tmp_path):
    files = pictures(tmp_path / "images", 3)
    result = near_images.measure([*files, files[0]], 1)
    assert (result["pairs_flagged"], result["images_flagged"]) == (1, 2)
    assert result["false_alarm_rate"] == pytest.approx(1 / 6)


def test_one_image_a_patient_is_taken(tmp_path):
    rows = [row(f"s{k}", f"p{k // 2}", "train", f"images/{k}.png") for k in range(6)]
    folder = write_folder(tmp_path / "data", rows)
    assert [path.name for path in near_images.one_a_patient(folder, 2)] == ["0.png", "2.png"]


def test_the_figures_are_written(tmp_path, monkeypatch, capsys):
    pictures(tmp_path / "images", 3)
    out = tmp_path / "out.json"
    command = ["near_images.py", "--folder", str(tmp_path / "images"), "--copies", "1", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    near_images.main()
    assert json.loads(out.read_text())["images"] == 3
    assert "0 of 3 pairs flagged" in capsys.readouterr().out
