"""Whole runs of PFMVG at the smallest size: from nothing, from a published layout, broken off, stages left out."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_pfmvg import TINY, write

from knowmvg.core.boxtext.views import Fit
from knowmvg.core.errors import RecipeError
from knowmvg.core.grounder import Query
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.canvas import on_canvas
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.load import load_speaker
from knowmvg.grounders.coordinates.speaker import BackboneSpeaker
from knowmvg.grounders.store import load_grounder
from knowmvg.sources.manifest import load_study, read_rows
from knowmvg.training.coordinates import stage
from knowmvg.training.coordinates.validation import validate
from knowmvg.training.recipe import read_recipe
from knowmvg.training.run import train
from knowmvg.training.trainer import Stopped
from tests.backbones.tiny_families import write_family

RECIPES = Path(__file__).parents[3] / "recipes"
OFF = {"stage 1": "caption.epochs=0", "stage 2": "grounding.epochs=0"}


def silent(line: str) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    return train(recipe, (), recipe.parent / "runs", silent)


def weights(run: Path) -> dict[str, torch.Tensor]:
    files = sorted((run / "model").rglob("*.safetensors"))
    return {f"{path.parent.name}/{name}": value for path in files for name, value in load_file(path).items()}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, msg=name, rtol=0, atol=0)


def part(run: Path, stage: str) -> list[Path]:
    return sorted((run.parent / "parts").glob(f"coordinates-{stage}-*"))


def test_a_run_leaves_a_grounder_and_its_facts(run: Path, recipe: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    assert set(facts["seconds"]) == {"data", "vision", "language", "reports", "boxes"}
    assert set(facts["validation"]) == {"miou", "shuffled", "valid", "step"}
    assert facts["validation"]["valid"] == 1
    rows = [row for row in read_rows(recipe.parent / "data", "test") if any(phrase.boxes for phrase in row.phrases)]
    study = load_study(recipe.parent / "data", rows[0])
    phrase = next(label.phrase for label in study.labels if len(label.boxes))
    grounder = load_grounder(run / "model", "cpu")
    (answer,) = grounder.ground_phrases([study], [[Query(phrase), Query(phrase, 2)]])
    assert answer.model == "tiny"
    taught = {p.finding for row in read_rows(recipe.parent / "data", "train") for p in row.phrases if p.boxes}
    assert grounder.findings == taught
    assert len(answer.phrases[0].boxes) >= 1
    assert len(answer.phrases[1].boxes) == 2
    assert sum(path.stat().st_size for path in (run / "model").rglob("*") if path.is_file()) < 300_000


def test_each_stage_changes_what_it_should_and_nothing_else(run: Path) -> None:
    (before,), (after,) = part(run, "base"), part(run, "reports")
    one, two = (load_file(folder / "model" / "model.safetensors") for folder in (before, after))
    changed = {name for name, value in one.items() if not torch.equal(value, two[name])}
    assert changed == {name for name in one if "vision_tower" not in name}
    tower = load_file(part(run, "vision")[0] / "tower" / "model.safetensors")
    kept = {name: value for name, value in two.items() if "vision_tower" in name}
    assert len(kept) == len(tower)
    assert sum(float(v.sum()) for v in kept.values()) == pytest.approx(sum(float(v.sum()) for v in tower.values()))
    base = load_file(run / "model" / "base" / "model.safetensors")
    assert_same(two, base)  # stage 2 leaves the base alone
    adapter = load_file(run / "model" / "adapter" / "adapter_model.safetensors")
    assert {name.split("self_attn.")[1] for name in adapter} == {
        f"{target}.lora_{factor}.weight" for target in ("q_proj", "v_proj") for factor in "AB"
    }
    assert all(float(value.abs().max()) > 0 for value in adapter.values())
    projection = load_file(run / "model" / "projection.safetensors")
    assert not torch.equal(projection["linear.weight"], base["model.multi_modal_projector.linear.weight"].float())


def test_image_tokens_begin_about_zero_and_as_long_as_words(run: Path, recipe: Path) -> None:
    (folder,) = part(run, "base")
    speaker, _ = load_speaker(BackbonePart(id=str(folder / "model"), dtype="float32", lora=None))
    data = recipe.parent / "data"
    shown = [on_canvas(load_study(data, row).image, 64, Fit.SQUASH)[0] for row in read_rows(data, "train")]
    tokens = speaker.look(np.stack(shown))
    words = speaker.loaded.vlm.model.get_input_embeddings().weight.std()
    assert float(tokens.std() / words) == pytest.approx(1, abs=0.5)
    assert float(tokens.mean(dim=(0, 1)).square().mean().sqrt() / words) < 0.3


def test_what_was_validated_on_the_way_is_what_is_saved(run: Path, recipe: Path) -> None:
    """The figures of the saved model, asked anew, are those that its state was chosen by: no dropout was in them."""
    grounder = load_grounder(run / "model", "cpu")
    assert isinstance(grounder, CoordinateGrounder)
    assert isinstance(grounder.speaker, BackboneSpeaker)
    data, vlm = recipe.parent / "data", grounder.speaker.loaded.vlm
    vlm.train()  # as a stage has it between two steps
    again = validate(grounder.speaker.loaded, grounder.config, data, list(read_rows(data, "val"))[:3])
    assert not any(module.training for module in vlm.modules())
    facts = json.loads((run / "run.json").read_text())["validation"]
    assert {name: round(value, 4) for name, value in again.items()} == {name: facts[name] for name in again}


class Killed(Exception):
    """Stands for a power cut."""


@pytest.mark.parametrize(("how", "error", "step"), [("killed", Killed, 4), ("interrupted", Stopped, 6)])
def test_stage_2_broken_off_and_resumed_is_unbroken(
    run: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch, how: str, error: type[Exception], step: int
) -> None:
    break_at(monkeypatch, step, how)
    with pytest.raises(error):
        train(recipe, [f"name={how}"], run.parent, silent)
    monkeypatch.undo()
    told: list[str] = []
    resumed = train(recipe, [f"name={how}"], run.parent, told.append)
    assert any("going on from step" in line for line in told)
    assert not any(line.startswith(("vision", "language", "reports")) for line in told)
    assert_same(weights(run), weights(resumed))
    histories = [json.loads((one / "boxes" / "history.json").read_text()) for one in (run, resumed)]
    assert [entry["step"] for entry in histories[0]][-1] == [entry["step"] for entry in histories[1]][-1]


def test_stage_1_broken_off_and_resumed_is_unbroken(run: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ["name=again", "caption.checkpoint=1"]  # another part than the first run's: the same but for its name
    whole = train(recipe, keys, run.parent, silent)
    folders = part(run, "reports")
    assert len(folders) == 2
    for folder in folders:
        shutil.rmtree(folder)
    break_at(monkeypatch, 2, "killed")
    with pytest.raises(Killed):
        train(recipe, ["name=taken-up", "caption.checkpoint=1"], run.parent, silent)
    monkeypatch.undo()
    told: list[str] = []
    resumed = train(recipe, ["name=taken-up", "caption.checkpoint=1"], run.parent, told.append)
    assert any(line.startswith("reports: going on from step 1") for line in told)
    assert_same(weights(whole), weights(resumed))
    assert_same(weights(run), weights(resumed))


def break_at(monkeypatch: pytest.MonkeyPatch, step: int, how: str) -> None:
    plain, left = stage.answer_loss, [step]

    def breaking(*given: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            if how == "killed":
                raise Killed
            os.kill(os.getpid(), signal.SIGINT)
        return plain(*given)

    monkeypatch.setattr(stage, "answer_loss", breaking)


@pytest.mark.parametrize("off", [("stage 1",), ("stage 2",), ("stage 1", "stage 2")], ids=" and ".join)
def test_a_stage_can_be_left_out_and_the_other_parts_are_shared(run: Path, recipe: Path, off: tuple[str, ...]) -> None:
    before = {folder.name for folder in (run.parent / "parts").iterdir()}
    told: list[str] = []
    row = train(recipe, [f"name=without-{len(off)}-{off[0][-1]}", *(OFF[one] for one in off)], run.parent, told.append)
    shared = {folder.name for folder in (run.parent / "parts").iterdir()} - before
    assert not any(
        name.startswith(("coordinates-vision", "coordinates-language", "coordinates-base")) for name in shared
    )
    assert not any(line.startswith(("vision", "language")) for line in told)
    adapted = (row / "model" / "adapter").is_dir()
    assert adapted == ("stage 2" not in off)
    found = load_file(row / "model" / "base" / "model.safetensors")
    if "stage 1" in off:
        (start,) = part(run, "base")
        assert_same(load_file(start / "model" / "model.safetensors"), found)
    facts = json.loads((row / "run.json").read_text())
    assert ("reports" in facts["seconds"]) == ("stage 1" not in off)
    assert (load_grounder(row / "model", "cpu").findings is None) == ("stage 2" in off)


def test_the_published_size_goes_the_same_way_on_a_tiny_base(recipe: Path) -> None:
    folder = recipe.parent
    base = write_family("joined_llava", folder / "base")
    data = folder / "data"
    keys = [
        f"data.folder={data}",
        f"base.id={base}",
        "base.picture=null",
        "base.dtype=float32",
        "machine={device: cpu}",
    ]
    keys += [f"caption.data=[{{folder: {data}, text: caption}}, {{folder: {data}}}]", "caption.epochs=1"]
    keys += ["grounding.epochs=1", "grounding.least_side=0.6", "validation_studies=2", "threads=1"]
    run = train(RECIPES / "pfmvg.yaml", keys, folder / "published", silent)
    facts = json.loads((run / "run.json").read_text())
    assert facts["recipe"]["base"]["lora"]["r"] == 64
    assert set(facts["seconds"]) == {"data", "reports", "boxes"}
    assert not (run / "model" / "base").exists()  # it is named, not copied
    study = load_study(data, next(iter(read_rows(data, "test"))))
    (answer,) = load_grounder(run / "model", "cpu").ground_phrases([study], [[Query(phrase_of(study))]])
    assert answer.phrases[0].boxes


def phrase_of(study: Any) -> Any:
    return study.labels[0].phrase


@pytest.mark.parametrize("name", ["pfmvg", "pfmvg-demo"])
def test_shipped_recipes_are_read(name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.yaml")
    assert recipe.name == name


def test_what_cannot_be_trained_is_told_before_anything_is(recipe: Path, tmp_path: Path) -> None:
    folder = recipe.parent
    qwen = write_family("qwen2_5_vl", tmp_path / "qwen")
    published = write(tmp_path, name="qwen", scratch=None, base={"id": str(qwen), "dtype": "float32"})
    for path, keys, said in (
        (recipe, ["machine.precision=bf16"], r"fp32"),
        (recipe, ["base={id: x}"], "one of base and scratch"),
        (recipe, ["grounding.least_side=0.5"], "keep_tokens"),
        (recipe, ["scratch.vision.patch=24"], "multiple"),
        (recipe, ["scratch.language.positions=64", "scratch.vision.patch=4"], "too few"),
        (published, [f"data.folder={folder / 'data'}"], "projection"),
    ):
        with pytest.raises(RecipeError, match=said):
            train(path, keys, tmp_path / "runs", silent)
    assert not (tmp_path / "runs" / "parts" / "coordinates-vision").exists()
    assert TINY["system"] == "coordinates"
