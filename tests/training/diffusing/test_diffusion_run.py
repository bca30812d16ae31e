"""Whole runs at the smallest size: from nothing, from published parts whole and by adapters, broken off and resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_recipe import TINY, write

from knowmvg.core.errors import RecipeError
from knowmvg.core.grounder import Query
from knowmvg.grounders.diffusion.parts import load_parts
from knowmvg.grounders.store import load_grounder
from knowmvg.sources.manifest import load_study, read_rows
from knowmvg.training.diffusion import denoising
from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.diffusion.run import findings_of
from knowmvg.training.recipe import read_recipe_of
from knowmvg.training.run import train
from knowmvg.training.trainer import Stopped

RECIPES = Path(__file__).parents[3] / "recipes"


def silent(line: str) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    return train(recipe, (), recipe.parent / "runs", silent)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "unet" / "diffusion_pytorch_model.safetensors")


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, msg=name, rtol=0, atol=0)


@pytest.mark.slow
def test_a_run_leaves_a_grounder_and_its_facts(run: Path, recipe: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    assert set(facts["seconds"]) == {"data", "text", "images", "autoencoder", "latents", "train"}
    assert set(facts["validation"]) == {"loss", "shuffled", "empty", "worth", "fit"}
    assert len(facts["data_fingerprint"]) == 64
    assert "diffusers" in facts["versions"]
    data = recipe.parent / "data"
    study = next(load_study(data, row) for row in read_rows(data, "test") if any(p.boxes for p in row.phrases))
    phrase = next(label.phrase for label in study.labels if len(label.boxes))
    (answer,) = load_grounder(run / "model").ground_phrases([study], [[Query(phrase)]])
    assert answer.model == "tiny"
    assert answer.phrases[0].text == phrase.text


def test_a_model_of_phrases_alone_knows_their_findings(run: Path, recipe: Path) -> None:
    rows = list(read_rows(recipe.parent / "data", "train"))
    phrases = [phrase for row in rows for phrase in row.phrases]
    kinds = ("{phrase: 0.5, phrases: 0.5}", "{phrase: 0.5, report: 0.5}")
    made = [read_recipe_of(DiffusionRecipe, recipe, [f"captions.kinds={kind}"]) for kind in kinds]
    assert findings_of(made[0], rows) == sorted({p.finding for p in phrases if p.assertion.placed})
    assert findings_of(made[1], rows) is None


@pytest.mark.slow
def test_what_is_saved_is_the_running_mean_in_half_precision(run: Path) -> None:
    last = load_file(run / "train" / "checkpoint-4" / "model.safetensors")
    names = [name.removeprefix("unet.") for name in last if name.startswith("unet.")]
    saved = weights(run)
    assert set(names) == set(saved)
    means = {tuple(v.shape): v for k, v in last.items() if k.startswith("mean.mean_")}
    assert len([k for k in last if k.startswith("mean.mean_")]) == len(names)
    name = "conv_in.weight"
    torch.testing.assert_close(saved[name], means[tuple(saved[name].shape)].half(), rtol=0, atol=0)
    assert not torch.equal(saved[name], last[f"unet.{name}"].half())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(run: Path, recipe: Path) -> None:
    assert_same(weights(run), weights(train(recipe, ["name=again"], recipe.parent / "runs", silent)))


class Killed(Exception):
    """Stands for a power cut."""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "error"), [("killed", Killed), ("interrupted", Stopped)])
def test_broken_off_and_resumed_is_unbroken(
    run: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch, how: str, error: type[Exception]
) -> None:
    plain, left = denoising.DenoisingTask.forward, [3]

    def breaking(self: Any, **inputs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            if how == "killed":
                raise Killed
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, **inputs)

    runs = recipe.parent / "runs"
    monkeypatch.setattr(denoising.DenoisingTask, "forward", breaking)
    with pytest.raises(error):
        train(recipe, [f"name={how}"], runs, silent)
    monkeypatch.undo()
    told: list[str] = []
    resumed = train(recipe, [f"name={how}"], runs, told.append)
    assert any("going on from checkpoint-" in line for line in told)
    assert not any(line.startswith(("text", "autoencoder", "latents")) for line in told)
    assert_same(weights(run), weights(resumed))


@pytest.fixture(scope="module")
def fine_tuning(run: Path) -> Path:
    """A recipe whose base is the trained model, written out whole as a Stable Diffusion folder is."""
    folder = run.parent.parent
    encoding = TINY["encoding"] | {"padded": True, "masked_attention": False}
    base = {"name": str(run / "model")}
    return write(folder, name="fine", scratch=None, base=base, encoding=encoding)


@pytest.mark.slow
def test_a_published_model_is_fine_tuned_whole(run: Path, fine_tuning: Path) -> None:
    tuned = train(fine_tuning, (), run.parent, silent)
    before, after = weights(run), weights(tuned)
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {"conv_in.weight", "conv_out.weight"} <= changed
    for part in ("text_encoder/model.safetensors", "vae/diffusion_pytorch_model.safetensors"):
        old, new = load_file(run / "model" / part), load_file(tuned / "model" / part)
        assert all(torch.equal(value.float(), new[name].float()) for name, value in old.items())
    assert load_parts(tuned / "model").text.padded


@pytest.mark.slow
def test_a_unet_that_was_fine_tuned_before_takes_the_place_of_the_base_s(run: Path, fine_tuning: Path) -> None:
    published = run.parent / "published"  # the layout of the reference's weights: one folder, `unet_ema`
    shutil.copytree(run / "model" / "unet", published / "unet_ema", dirs_exist_ok=True)
    place = published / "unet_ema" / "diffusion_pytorch_model.safetensors"
    save_file({name: value * 0 + 0.5 for name, value in load_file(place).items()}, place)
    unet = f"base.instead.unet={{name: {published}, subfolder: unet_ema}}"
    tuned = train(fine_tuning, ["name=from-unet", unet, "train.lr=1e-9"], run.parent, silent)
    assert all(float((value - 0.5).abs().max()) < 1e-3 for value in weights(tuned).values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diffusion-demo", "generate-to-ground"])
def test_a_shipped_recipe_is_built_and_stepped(run: Path, recipe: Path, name: str) -> None:
    keys = [f"data.folder={recipe.parent / 'data'}", "train.steps=1", "train.batch=2", "train.accumulate=1"]
    keys += ["train.validate=0", "validation_studies=4", "machine={device: cpu}", "read.steps=2", "read.window=[0, 2]"]
    if name == "diffusion-demo":
        keys += ["scratch.text.schedule.steps=1", "scratch.autoencoder.schedule.steps=1"]
    else:
        keys += [f"base={{name: {run / 'model'}}}", f"encoding.max_tokens={TINY['encoding']['max_tokens']}"]
    made = train(RECIPES / f"{name}.yaml", keys, run.parent / "shipped", silent)
    assert load_grounder(made / "model") is not None
    assert json.loads((made / "run.json").read_text())["recipe"]["system"] == "diffusion"


LORA = "lora={rank: 2, targets: [attn2.to_k, attn2.to_v]}"


@pytest.fixture(scope="module")
def adapted(run: Path, fine_tuning: Path) -> Path:
    return train(fine_tuning, ["name=lora", LORA], run.parent, silent)


@pytest.mark.slow
def test_adapters_touch_the_layers_that_are_named_and_no_other(run: Path, adapted: Path) -> None:
    before, after = weights(run), weights(adapted)
    assert before.keys() == after.keys()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {name for name in before if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))}
    kept = load_file(adapted / "train" / "checkpoint-4" / "model.safetensors")
    assert all("lora" in name or name.startswith("mean.") for name in kept)
    assert list((adapted / "lora").glob("*.safetensors"))


@pytest.mark.slow
def test_adapters_resume_exactly(adapted: Path, fine_tuning: Path) -> None:
    before = weights(adapted)
    shutil.rmtree(adapted / "train" / "checkpoint-4")  # as if broken off after step 2
    told: list[str] = []
    again = train(fine_tuning, ["name=lora", LORA], adapted.parent, told.append)
    assert any("going on from checkpoint-2" in line for line in told)
    assert_same(before, weights(again))


@pytest.mark.slow
def test_adapters_on_nothing_are_refused(run: Path, fine_tuning: Path) -> None:
    with pytest.raises(RecipeError, match=r"lora\.targets"):
        train(fine_tuning, ["name=none", "lora={targets: [to_nowhere]}"], run.parent, silent)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(recipe: Path) -> None:
    with pytest.raises(RecipeError, match="GPU"):
        train(recipe, ["machine.device=cuda"], recipe.parent / "runs", silent)
