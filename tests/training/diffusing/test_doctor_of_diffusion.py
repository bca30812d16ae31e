"""The doctor on recipes of diffusion models: from nothing, and of a base whole and by adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_recipe import TINY, write
from typer.testing import CliRunner

from knowmvg.interfaces.cli.main import app
from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.doctor.diagnosis import Diagnosis, diagnose
from knowmvg.training.doctor.expectation import fitting, needed_disk, on_card
from knowmvg.training.doctor.finding import Level
from knowmvg.training.recipe import read_recipe, read_recipe_of
from knowmvg.training.run import train

RECIPES = Path(__file__).parents[3] / "recipes"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = write(tmp_path_factory.mktemp("diffusion-doctor"))
    return train(recipe, (), recipe.parent / "trained", lambda _: None)


def looked_at(run: Path, path: Path, *keys: str, runs: str = "runs") -> Diagnosis:
    told = [f"data.folder={run.parents[1] / 'data'}", "machine={device: cpu}", "validation_studies=4", *keys]
    return diagnose(read_recipe(path, told), run.parents[1] / runs, lambda _: None)


def test_the_shipped_recipe_from_nothing_is_healthy_and_nothing_of_its_run_is_made(run: Path) -> None:
    found = looked_at(run, RECIPES / "diffusion-demo.yaml", "train.batch=2", "scratch.text.schedule.batch=4")
    assert found.healthy, [finding for finding in found.findings if finding.level is Level.PROBLEM]
    assert {finding.about for finding in found.findings} >= {"versions", "data", "leaks", "gradient", "memory", "disk"}
    assert "<BOX>" not in {finding.about for finding in found.findings}
    trial = found.trial
    assert trial is not None
    assert [stage.name for stage in trial.stages] == ["text", "autoencoder", "latents", "train"]
    assert all(stage.seconds > 0 and stage.memory > 0 for stage in trial.stages)
    unet = trial.parts["unet"]
    assert unet.trained == unet.parameters > 0
    assert trial.kept_by_optimizer == 8 * unet.trained
    assert trial.parts["running mean"].stored == 4 * unet.trained + 8  # and its counter
    assert trial.cached == 2 * 2 * 4 * 16 * 16
    assert needed_disk(trial) > trial.kept_by_optimizer
    assert [path.name.partition("-")[0] for path in (run.parents[1] / "runs" / "parts").iterdir()] == ["leaks"]


def test_stages_that_are_done_cost_nothing(run: Path) -> None:
    recipe = run.parents[1] / "tiny.yaml"
    found = diagnose(read_recipe(recipe), run.parent, lambda _: None)
    assert found.trial is not None
    assert [stage.name for stage in found.trial.stages] == ["latents", "train"]


def test_the_shipped_recipe_of_a_base_is_tried_whole_and_by_adapters(run: Path) -> None:
    tiny = [f"base={{name: {run / 'model'}}}", f"encoding.max_tokens={TINY['encoding']['max_tokens']}", "train.batch=2"]
    whole = looked_at(run, RECIPES / "generate-to-ground.yaml", *tiny)
    adapted = looked_at(run, RECIPES / "generate-to-ground.yaml", *tiny, "lora={rank: 2, targets: [to_k, to_v]}")
    assert whole.healthy
    assert adapted.healthy
    assert whole.trial is not None
    assert adapted.trial is not None
    assert [stage.name for stage in whole.trial.stages] == ["latents", "train"]
    assert 0 < adapted.trial.parts["unet"].trained < whole.trial.parts["unet"].trained


def test_what_to_change_is_told_for_this_system(run: Path) -> None:
    path = run.parents[1] / "tiny.yaml"
    recipe, trial = read_recipe_of(DiffusionRecipe, path), diagnose(read_recipe(path), run.parent, lambda _: None).trial
    assert trial is not None
    assert "train.batch=1 train.accumulate=2" in fitting(trial, recipe, round(trial.memory(0.5) / 0.9) + 1)
    assert "save_memory=true" in fitting(trial, recipe, 1)
    assert on_card(trial, recipe, 24).level is Level.OK
    result = CliRunner().invoke(app, ["doctor", str(path), "--card", "24", "--runs", str(run.parent)])
    assert result.exit_code == 0, result.output
    assert "running mean" in result.stdout
    assert "of 24 GiB" in " ".join(result.stdout.split())
