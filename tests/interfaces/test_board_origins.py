"""The minutes of a run on the leaderboard: those of its seed by stage, for every system that keeps its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from knowmvg.core.errors import ModelError
from knowmvg.interfaces.cli.board.origins import origin_of
from knowmvg.interfaces.cli.board.rows import SeedRun
from knowmvg.training.run_folder import OF_A_SEED

RUNS = {
    "prompted": ({"data": 60.0, "train": 120.0, "language": 180.0, "segmenter": 240.0}, {"train": 2.0}, 10.0),
    "diffusion": ({"data": 0.0, "train": 60.0, "text": 90.0, "latents": 30.0}, {"train": 1.0}, 3.0),
    "coordinates": (
        {"data": 6.0, "boxes": 1080.0, "vision": 4200.0, "language": 2388.0, "reports": 866.0},
        {"reports": 14.43, "boxes": 18.0},
        142.33,
    ),
    "published": ({"data": 0.0, "reports": 60.0, "boxes": 120.0}, {"reports": 1.0, "boxes": 2.0}, 3.0),
    "untrained": ({"data": 60.0}, {}, 1.0),
}


def run(folder: Path, content: str) -> SeedRun:
    (folder / "run.json").write_text(content, encoding="utf-8")
    return SeedRun(folder, folder, 0)


@pytest.mark.parametrize("system", RUNS)
def test_the_minutes_are_those_that_the_seed_took_itself(system: str, tmp_path: Path) -> None:
    seconds, stages, in_all = RUNS[system]
    facts = {"seconds": seconds, "recipe": {"seed": 7}, "git": None}
    origin = origin_of(run(tmp_path, json.dumps(facts)), "f" * 64)
    assert (origin.seed, origin.stages) == (7, stages)
    assert origin.minutes == pytest.approx(sum(stages.values()))
    assert origin.minutes_in_all == in_all


def test_the_stages_of_a_seed_are_timed_under_these_names() -> None:
    training = Path(__file__).parents[2] / "knowmvg" / "training"
    timed = {name for path in training.rglob("*.py") for name in re.findall(r'timed\(\w+, "(\w+)"\)', path.read_text())}
    assert set(OF_A_SEED) <= timed


def test_a_model_that_was_given_has_no_minutes_and_a_damaged_run_is_told(tmp_path: Path) -> None:
    origin = origin_of(SeedRun(tmp_path, tmp_path, 3), "f" * 64)
    assert (origin.seed, origin.minutes, origin.stages) == (3, None, {})
    for content in ("[1", json.dumps({"seconds": {"train": "long"}, "recipe": {"seed": 1}, "git": None})):
        with pytest.raises(ModelError, match=r"run\.json"):
            origin_of(run(tmp_path, content), "f" * 64)
