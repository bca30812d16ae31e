"""What a recipe says of the machine: read, refused where it is not there, and what it may change."""

from __future__ import annotations

import json
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from transformers.quantizers.quantizers_utils import should_convert_module

from knowmvg.core.errors import ModelError, RecipeError
from knowmvg.grounders.backbones.quantized import four_bit
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.prompted.batch import Batch
from knowmvg.nn.backbones.family import FAMILIES
from knowmvg.training import deepspeed, hardware
from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.diffusion.workplace import open_workplace as open_diffusion
from knowmvg.training.hardware import alone, described, device_of, made_once, processes
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.prompted.workplace import open_workplace
from knowmvg.training.recipe_parts import MachinePart
from tests.tiny import TINY
from tests.training import killed_runs
from tests.training.diffusing import tiny_recipe

CONFIGS = Path(__file__).parents[2] / "recipes" / "deepspeed"


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(MachinePart()).type == "cpu"
    assert described(MachinePart()).startswith("CPU, ")
    with pytest.raises(RecipeError, match=r"a GPU for machine\.device: cuda; got none"):
        device_of(MachinePart(device="cuda"))


def test_each_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device_of(MachinePart()) == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(RecipeError, match="a GPU for process 2; got 2 on this machine"):
        device_of(MachinePart())


@pytest.mark.parametrize(("name", "stage"), [("zero2", 2), ("zero3", 3)])
def test_the_configurations_that_ship_are_those_of_accelerate(name: str, stage: int) -> None:
    config = deepspeed.read_config(CONFIGS / f"{name}.json")
    parsed = HfDeepSpeedConfig(config)
    assert parsed._stage == stage
    assert parsed.is_zero3() == (stage == 3)
    assert not parsed.is_offload()
    assert all(parsed.get_value(key) == "auto" for key in deepspeed.GIVEN)
    assert not {"bf16", "fp16"} & config.keys()  # they would train the decoders in half precision


def test_a_configuration_is_checked_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deepspeed.checked(MachinePart()) is None
    machine = MachinePart(deepspeed=CONFIGS / "zero2.json")
    with pytest.raises(RecipeError, match=r"a GPU for machine\.deepspeed; got a CPU"):
        deepspeed.checked(machine.model_copy(update={"device": "cpu"}))
    monkeypatch.setattr(deepspeed, "device_of", lambda _: torch.device("cuda", 0))
    monkeypatch.setattr(deepspeed, "find_spec", lambda _: None)
    with pytest.raises(RecipeError, match=r"knowmvg\[deepspeed\]"):
        deepspeed.checked(machine)
    monkeypatch.setattr(deepspeed, "find_spec", lambda _: ModuleSpec("deepspeed", None))
    found = deepspeed.checked(machine.model_copy(update={"precision": "bf16"}))
    assert found is not None
    assert found["torch_autocast"] == {"enabled": True, "dtype": "bfloat16", "lower_precision_safe_modules": []}
    for text, said in (("{", "JSON"), ("[]", "stage"), ('{"zero_optimization": {"stage": 4}}', "stage")):
        (tmp_path / "ds.json").write_text(text)
        with pytest.raises(RecipeError, match=said):
            deepspeed.read_config(tmp_path / "ds.json")
    (tmp_path / "ds.json").write_text(json.dumps({"zero_optimization": {"stage": 2}, "gradient_clipping": 1.0}))
    with pytest.raises(RecipeError, match="gradient_clipping: auto"):
        deepspeed.read_config(tmp_path / "ds.json")


def test_what_zero_3_cannot_divide_is_refused_before_anything_runs(tmp_path: Path) -> None:
    machine = {"deepspeed": str(CONFIGS / "zero3.json")}
    small = {**TINY, "spoken": 0, "language_model": {"id": "x", "four_bit": True}, "machine": machine}
    with pytest.raises(RecipeError, match=r"16 or 32 bits for ZeRO-3; got language_model\.four_bit"):
        open_workplace(Recipe.model_validate(small), tmp_path, print)
    looked = {**small, "language_model": {"id": "x"}, "augment": {}}
    with pytest.raises(RecipeError, match="features from the cache for ZeRO-3; got augment"):
        open_workplace(Recipe.model_validate(looked), tmp_path, print)
    averaged = DiffusionRecipe.model_validate({**tiny_recipe.TINY, "machine": machine})
    with pytest.raises(RecipeError, match="ZeRO stage 1 or 2 for a diffusion model; got stage 3"):
        open_diffusion(averaged, tmp_path, print)


def test_four_bits_need_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert four_bit(BackbonePart(id="x"), "cpu") == {}
    monkeypatch.setattr("knowmvg.grounders.backbones.quantized.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"knowmvg\[quantized\]"):
        four_bit(BackbonePart(id="x", four_bit=True), "cpu")


def test_four_bits_are_for_the_decoder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knowmvg.grounders.backbones.quantized.find_spec", lambda _: ModuleSpec("bitsandbytes", None))
    given = four_bit(BackbonePart(id="x", four_bit=True), torch.device("cuda", 1))
    assert given["device_map"] == {"": "cuda:1"}
    config = given["quantization_config"]
    assert (config.bnb_4bit_quant_type, config.bnb_4bit_compute_dtype) == ("nf4", torch.bfloat16)
    skipped = config.llm_int8_skip_modules
    whole = ("vision_tower.layers.0.q_proj", "visual.blocks.0.attn.qkv", "vision_model.encoder.layers.0.fc1",
             "multi_modal_projector.linear_1", "connector.modality_projection.proj")  # fmt: skip
    assert not any(should_convert_module(f"model.{name}", skipped) for name in whole)
    assert not should_convert_module("lm_head", skipped)
    for family in FAMILIES.values():
        assert should_convert_module(f"model.{family.decoder}.layers.0.self_attn.q_proj", skipped)


def test_who_is_told_must_be_there(tmp_path: Path) -> None:
    task, _ = killed_runs.small_task()
    with pytest.raises(RecipeError, match=r"machine\.report_to that can be told: nobody"):
        killed_runs.learn(task, tmp_path, machine=MachinePart(report_to=("nobody",)))


def test_a_batch_moves_as_a_whole() -> None:
    values: dict[str, Any] = {name: torch.zeros(2) for name in Batch.__dataclass_fields__}
    batch = Batch(**(values | {"cached": True, "tokens": None})).to("meta")
    tensors = [getattr(batch, name) for name in values if name not in ("cached", "tokens")]
    assert all(tensor.device.type == "meta" for tensor in tensors)
    assert batch.cached
    assert batch.tokens is None


def test_what_is_missing_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    marker, made = tmp_path / "part" / "done", []

    def make() -> None:
        made.append(processes().world)
        marker.write_text("")

    threads = [threading.Thread(target=made_once, args=(marker, make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]  # alone, whatever the run has
    assert processes().world == 2
    with alone():
        assert processes().world == 1


def test_other_processes_wait_for_the_main_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    marker = tmp_path / "done"
    monkeypatch.setattr(hardware.time, "sleep", lambda _: marker.write_text(""))
    made_once(marker, lambda: pytest.fail("made by another than the main process"))
