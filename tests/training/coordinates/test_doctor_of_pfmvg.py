"""The doctor on recipes of PFMVG: from nothing, on a base, and what it says of what would not learn."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from knowmvg.core.boxtext.codec import PFMVG, BoxCodec, Style
from knowmvg.grounders.backbones.load import SpeakingBackbone, load_speaking
from knowmvg.grounders.backbones.record import BackbonePart, LoraPart
from knowmvg.interfaces.cli.main import app
from knowmvg.training.coordinates.recipe import PfmvgRecipe
from knowmvg.training.doctor import expectation
from knowmvg.training.doctor.coordinates_checks import look_at_adapters, look_at_lengths, look_at_numbers
from knowmvg.training.doctor.diagnosis import Diagnosis, diagnose
from knowmvg.training.doctor.expectation import fitting, look_at_cost, look_at_trial, needed_disk, on_card
from knowmvg.training.doctor.finding import Finding, Level
from knowmvg.training.doctor.measuring import gradients_of
from knowmvg.training.recipe import read_recipe, read_recipe_of
from knowmvg.training.run import train
from tests.backbones.tiny_families import write_family

ROOT = Path(__file__).parents[3]
TWO = LoraPart(r=4, alpha=8, dropout=0.1, targets=("q_proj", "v_proj"))


@pytest.fixture(scope="module")
def base(recipe: Path) -> Path:
    return write_family("joined_llava", recipe.parent / "base")


@pytest.fixture(scope="module")
def adapted(base: Path) -> SpeakingBackbone:
    return load_speaking(BackbonePart(id=str(base), dtype="float32", lora=TWO))


def looked_at(path: Path, *keys: str, runs: Path) -> Diagnosis:
    return diagnose(read_recipe(path, keys), runs, lambda _: None)


def about(found: Diagnosis, what: str) -> Finding:
    return next(finding for finding in found.findings if finding.about == what)


@pytest.fixture(scope="module")
def sound(recipe: Path) -> Diagnosis:
    return looked_at(recipe, runs=recipe.parent / "looked")


def test_a_recipe_from_nothing_is_healthy_and_nothing_of_its_run_is_made(sound: Diagnosis, recipe: Path) -> None:
    assert sound.healthy, [finding for finding in sound.findings if finding.level is Level.PROBLEM]
    assert "2 matrices" in about(sound, "adapters").said  # one layer
    assert about(sound, "numbers").said.startswith("each is one token, 4 to a box")
    assert "reaches every trained part" in about(sound, "gradient").said
    assert {finding.about for finding in sound.findings} >= {"memory", "time", "disk"}
    trial = sound.trial
    assert trial is not None
    assert [stage.name for stage in trial.stages] == ["vision", "language", "tokens", "reports", "boxes", "validation"]
    assert [stage.steps for stage in trial.stages] == [2, 2, 12, 3, 7, 3]
    assert all(stage.seconds > 0 and stage.memory > 0 for stage in trial.stages)
    assert [path.name.partition("-")[0] for path in (recipe.parent / "looked" / "parts").iterdir()] == ["leaks"]
    assert "checks" not in sound.to_dict()["trial"]


def test_parts_are_counted_as_either_stage_trains_them(sound: Diagnosis) -> None:
    trial = sound.trial
    assert trial is not None
    assert trial.parts["vision encoder"].trained == 0 < trial.parts["vision encoder"].parameters
    adapters = {name: part for name, part in trial.parts.items() if name.startswith("adapters")}
    assert {name: part.trained for name, part in adapters.items()} == {
        f"adapters of {target}": 2 * 4 * 32
        for target in ("q_proj", "v_proj")  # rank 4, width 32
    }
    whole = [part for name, part in trial.parts.items() if name not in {"vision encoder", *adapters}]
    assert all(part.trained == part.parameters > 0 for part in whole)
    assert trial.section == "caption"  # all of the language model holds gradients
    assert trial.kept_by_optimizer == 8 * sum(part.trained for part in whole)
    assert trial.memory() == pytest.approx(max(stage.memory for stage in trial.stages), rel=0.01)
    tokens = 64 * 16 * 2  # 8 x 8 patches of width 16, half precision
    images = 64**2 + 16**2  # and their masks, while the vision encoder learns
    assert tokens * 12 < trial.cached * trial.studies
    assert images * 12 < trial.cached * trial.studies < needed_disk(trial)


@pytest.mark.slow
def test_stages_that_are_done_cost_nothing(recipe: Path) -> None:
    runs = recipe.parent / "runs"
    train(recipe, (), runs, lambda _: None)
    again = looked_at(recipe, runs=runs)
    assert again.trial is not None
    assert [stage.name for stage in again.trial.stages] == ["boxes", "validation"]
    assert again.trial.section == "grounding"
    other = looked_at(recipe, "seed=1", runs=runs)  # of which stage 1 is another
    assert other.trial is not None
    assert [stage.name for stage in other.trial.stages] == ["reports", "boxes", "validation"]


def test_a_recipe_without_a_stage_of_its_own_is_not_tried(recipe: Path) -> None:
    found = looked_at(recipe, "caption.epochs=0", "grounding.epochs=0", runs=recipe.parent / "looked")
    assert found.healthy
    assert found.trial is None
    assert "leaves out" in about(found, "trial").said


def published(recipe: Path, base: Path, *keys: str) -> list[str]:
    data = recipe.parent / "data"
    told = [f"data.folder={data}", f"base.id={base}", "base.picture=null", "machine={device: cpu}"]
    return [*told, f"caption.data=[{{folder: {data}, text: caption}}]", "validation_studies=2", *keys]


def test_the_published_recipe_is_tried_on_its_base(recipe: Path, base: Path) -> None:
    path, runs = ROOT / "recipes" / "pfmvg.yaml", recipe.parent / "looked"
    keys = published(recipe, base, "base.checkpointing=false", "base.dtype=float32")
    found = looked_at(path, *keys, runs=runs)
    assert found.healthy
    assert "rank 64 on 4 matrices" in about(found, "adapters").said
    assert about(found, "numbers").level is Level.NOTE  # as LLaMA spells them
    trial, read = found.trial, read_recipe_of(PfmvgRecipe, path, keys)
    assert trial is not None
    assert [stage.name for stage in trial.stages] == ["reports", "boxes", "validation"]
    assert trial.cached == 0  # it looks anew in every step
    assert trial.parts["language model"].trained == trial.parts["output layer"].trained == 0
    assert trial.parts["projection"].trained > 0
    assert fitting(trial, read, 1).startswith(f"Set {trial.section}.batch=1 base.checkpointing=true base.dtype=bfl")
    advice = fitting(trial, read, round(trial.memory(0.5) / 0.9) + 1)
    assert advice.startswith("Set base.checkpointing=true base.dtype=bfloat16, or ")
    assert f"{trial.section}.batch=" in advice
    assert on_card(trial, read, 24).level is Level.OK


def test_what_does_not_fit_is_named_and_a_step_that_fits_is_left_alone(
    sound: Diagnosis, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, read = sound.trial, read_recipe_of(PfmvgRecipe, recipe)
    assert trial is not None
    monkeypatch.setattr(expectation, "free_memory", lambda device: trial.memory())
    (memory,) = (finding for finding in look_at_cost(trial, read, recipe.parent) if finding.about == "memory")
    assert memory.level is Level.PROBLEM
    assert "reports" in memory.said
    assert memory.todo.startswith("Set caption.batch=2")
    large = replace(trial, stages=[replace(trial.stages[-1], memory=10 * trial.memory())])
    monkeypatch.setattr(expectation, "free_memory", lambda device: 5 * trial.memory())
    (memory,) = (finding for finding in look_at_cost(large, read, recipe.parent) if finding.about == "memory")
    assert memory.level is Level.PROBLEM
    assert "of validation" in memory.todo


def test_a_base_that_is_not_here_is_a_problem_and_no_traceback(recipe: Path, tmp_path: Path) -> None:
    keys = published(recipe, tmp_path / "nowhere")
    result = CliRunner().invoke(
        app, ["doctor", str(ROOT / "recipes" / "pfmvg.yaml"), *keys, "--card", "24", "--runs", str(tmp_path / "runs")]
    )
    assert result.exit_code == 1
    told = " ".join(result.stdout.split())
    assert "nowhere" in told
    assert "No such folder is here: correct its path" in told


def test_adapters_anywhere_else_are_told(adapted: SpeakingBackbone) -> None:
    assert look_at_adapters(adapted, TWO).level is Level.OK
    for targets in (("q_proj",), ("q_proj", "v_proj", "k_proj")):
        found = look_at_adapters(adapted, TWO.model_copy(update={"targets": targets}))
        assert found.level is Level.PROBLEM
        assert "language_model" in found.said
    tower = adapted.vlm.model.model.vision_tower
    tower.lora_A = nn.Linear(1, 1)
    try:
        assert look_at_adapters(adapted, TWO).level is Level.PROBLEM
    finally:
        del tower.lora_A


def test_numbers_that_must_be_tokens_and_are_not_are_told(adapted: SpeakingBackbone) -> None:
    answers = [("{<1><2><3><4>}", 1), ("{<1><2><3><4>}<delim>{<5><6><7><8>}", 2)]
    assert look_at_numbers(adapted, PFMVG, answers).level is Level.NOTE
    loc = BoxCodec(style=Style.LOC, bins=1000, order="yxyx")
    found = look_at_numbers(adapted, loc, [("<loc0001><loc0002><loc0003><loc0004> mass", 1)])
    assert found.level is Level.PROBLEM
    assert "<loc0001>" in found.said


def test_answers_that_would_be_cut_are_told() -> None:
    assert look_at_lengths([10, 20], 20, "") == []
    (found,) = look_at_lengths([10, 21], 20, "Raise it.")
    assert found.level is Level.WARNING
    assert found.said.startswith("1 of 2 ")


def test_answers_of_the_recipe_that_would_be_cut_are_told(recipe: Path) -> None:
    found = looked_at(
        recipe, "scratch.language.positions=64", "grounding.epochs=0", runs=recipe.parent / "looked"
    )  # 16 are the image's
    assert about(found, "length").level is Level.WARNING
    assert "scratch.language.positions, or lower caption.most_words" in about(found, "length").todo


def test_gradients_that_do_not_arrive_or_are_broken_are_told(sound: Diagnosis) -> None:
    layers = nn.ModuleDict({"one": nn.Linear(2, 2), "other": nn.Linear(2, 2)})
    layers["one"](torch.full((1, 2), float("inf"))).sum().backward()
    untaught, broken = gradients_of(dict(layers.named_parameters()), lambda name: name.split(".")[0])
    assert untaught == ["other"]
    assert broken == ["one.weight"]
    assert sound.trial is not None
    sick = replace(sound.trial, broken=broken)
    said = [finding for finding in look_at_trial(sick) if finding.level is Level.PROBLEM]
    assert said[0].todo.startswith("Lower caption.lr")


@pytest.mark.slow
def test_the_estimate_is_what_the_profiler_finds(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("HF_DEACTIVATE_ASYNC_LOAD", "1")
    benchmark: Any = importlib.import_module("doctor")
    found = benchmark.compared(recipe, ["grounding.validate=0", "caption.batch=12"], tmp_path)
    assert found["stage"] == "reports"
    assert found["error"] < 0.15
