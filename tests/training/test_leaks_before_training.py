"""Training looks for leaks before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from knowmvg.core.errors import LeakError
from knowmvg.training.recipe import read_recipe
from knowmvg.training.run import train
from knowmvg.training.studies import open_studies
from tests.sources.data_folders import row, write_folder
from tests.training.test_run import TINY


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    rows = [row("a", "p1", "train"), row("b", "p2", "val"), row("c", "p1", "test")]
    write_folder(tmp_path / "data", rows)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY | {"data": {"folder": str(tmp_path / "data")}}))
    return path


def test_a_shared_patient_stops_it(recipe: Path, tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(LeakError, match="1 patient of test is in train"):
        train(recipe, (), tmp_path / "runs", told.append)
    assert told == ["leaks: 1 patient of test is in train (1 of 1 rows)"]
    assert not (tmp_path / "runs/tiny/model").exists()


def test_a_recipe_may_allow_it(recipe: Path, tmp_path: Path) -> None:
    data = read_recipe(recipe, ["data.allow_leaks=true"]).data
    studies = open_studies(data, 10, tmp_path / "parts", lambda _: None)
    assert [one.id for one in studies.train] == ["a"]
    assert list((tmp_path / "parts").glob("leaks-*.json"))
