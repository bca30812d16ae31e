"""What the doctor counts, finds and leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.profiler import ProfilerActivity, profile
from typer.testing import CliRunner

from knowmvg.interfaces.cli.main import app
from knowmvg.training.doctor.diagnosis import Diagnosis, diagnose
from knowmvg.training.doctor.expectation import fitting, needed_disk
from knowmvg.training.doctor.finding import Level
from knowmvg.training.doctor.growth import BatchSize, Growth
from knowmvg.training.memory import LiveMemory, highest_memory
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.recipe import read_recipe, read_recipe_of
from knowmvg.training.run import train
from tests.tiny import TINY

CPU = torch.device("cpu")


def test_tensors_are_counted_while_they_live() -> None:
    with LiveMemory() as live:
        one = torch.zeros(1000)
        assert live.now == 4000
        view = one[:10]  # no memory of its own
        two = one + 1
        assert live.now == 8000
        del one, view
        assert live.now == 4000
        del two
    assert (live.now, live.highest) == (0, 8000)


def test_what_was_there_before_does_not_count() -> None:
    before = torch.zeros(1000)
    with LiveMemory() as live:
        before.add_(1)
        assert before[:3].sum() == 3
    assert live.highest < 100


def test_it_counts_where_nothing_is_allocated() -> None:
    with torch.device("meta"):
        layer = nn.Linear(64, 64, bias=False)
        given = torch.zeros(8, 64)
    assert highest_memory(lambda: layer(given), CPU) == 4 * 8 * 64


def test_it_agrees_with_the_profiler() -> None:
    layers = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64))

    def step() -> None:
        layers.zero_grad(set_to_none=True)
        layers(torch.randn(128, 64)).square().mean().backward()

    step()
    layers.zero_grad(set_to_none=True)
    counted = highest_memory(step, CPU)
    layers.zero_grad(set_to_none=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    held = sum(event.self_cpu_memory_usage for event in profiled.key_averages())
    gradients = sum(4 * p.numel() for p in layers.parameters())
    assert held == pytest.approx(gradients, rel=0.01)  # all else was freed
    assert counted > gradients + 4 * 128 * 256


def test_growth_is_found_again() -> None:
    truth = Growth(1e6, 300.0, 5e4)
    sizes = [BatchSize(200, 1), BatchSize(210, 5), BatchSize(400, 2), BatchSize(420, 9)]
    found = Growth.fitted(sizes, [truth.of(size) for size in sizes])
    assert found.of(BatchSize(3000, 40)) == pytest.approx(truth.of(BatchSize(3000, 40)), rel=1e-6)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor")
    values = TINY | {"data": TINY["data"] | {"folder": str(folder / "data")}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(values))
    return folder / "tiny.yaml"


@pytest.fixture(scope="module")
def diagnosis(recipe: Path) -> Diagnosis:
    train(recipe, ["name=first", "train.steps=3", "train.validate=3"], recipe.parent / "other", lambda _: None)
    return diagnose(read_recipe(recipe), recipe.parent / "runs", lambda _: None)


@pytest.mark.slow
def test_a_sound_recipe_is_healthy_and_nothing_of_its_run_is_made(diagnosis: Diagnosis, recipe: Path) -> None:
    assert diagnosis.healthy
    assert {finding.about for finding in diagnosis.findings} >= {
        "versions",
        "data",
        "leaks",
        "<BOX>",
        "gradient",
        "memory",
    }
    assert [path.name.partition("-")[0] for path in (recipe.parent / "runs" / "parts").iterdir()] == ["leaks"]
    assert not (recipe.parent / "runs" / "tiny").exists()
    values = json.loads(json.dumps(diagnosis.to_dict()))
    assert values["healthy"] is True
    assert set(values["trial"]["parts"]) >= {"image_encoder", "vlm", "knowledge", "attention"}


@pytest.mark.slow
def test_the_parts_are_counted_as_they_are_trained(diagnosis: Diagnosis) -> None:
    assert diagnosis.trial is not None
    parts = diagnosis.trial.parts
    assert parts["image_encoder"].trained == 0
    assert parts["vlm"].trained == parts["vlm"].parameters > 0
    assert diagnosis.trial.kept_by_optimizer == 8 * sum(part.trained for part in parts.values())
    assert needed_disk(diagnosis.trial) > diagnosis.trial.kept_by_optimizer


@pytest.mark.slow
def test_a_smaller_batch_is_advised_where_the_whole_does_not_fit(diagnosis: Diagnosis, recipe: Path) -> None:
    trial = diagnosis.trial
    assert trial is not None
    read = read_recipe_of(Recipe, recipe)
    assert "train.batch=1 train.accumulate=2" in fitting(trial, read, round(trial.memory(0.5) / 0.9) + 1)
    assert "smaller base" in fitting(trial, read, 1)


@pytest.mark.slow
def test_a_part_that_no_loss_teaches_is_a_problem(recipe: Path, diagnosis: Diagnosis) -> None:
    read = read_recipe(recipe, ["losses={text: 1.0}"])
    found = diagnose(read, recipe.parent / "runs", lambda _: None)
    assert not found.healthy
    said = [finding.said for finding in found.findings if finding.level is Level.PROBLEM]
    assert "none reaches attention" in said


def test_data_that_cannot_be_trained_on_are_told(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.jsonl").write_text("{}\n", encoding="utf-8")
    result = CliRunner().invoke(
        app, ["doctor", str(recipe), f"data.folder={tmp_path / 'data'}", "--runs", str(tmp_path / "runs")]
    )
    assert result.exit_code == 1
    assert "problem" in result.stdout
    assert "not a medical device" in " ".join(result.stdout.split())


def test_data_that_would_be_simulated_are_a_note(recipe: Path, tmp_path: Path) -> None:
    told = diagnose(read_recipe(recipe, [f"data.folder={tmp_path / 'none'}"]), tmp_path / "runs", lambda _: None)
    assert told.healthy
    assert told.trial is None
    assert any("would be simulated" in finding.said for finding in told.findings)


def test_a_folder_of_other_files_is_no_place_to_simulate_into(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("mine", encoding="utf-8")
    told = diagnose(read_recipe(recipe, [f"data.folder={tmp_path / 'data'}"]), tmp_path / "runs", lambda _: None)
    assert not told.healthy
    assert any("other files" in finding.said for finding in told.findings)
