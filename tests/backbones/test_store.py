"""What a run adds to a base, written and read; and bases that cannot be read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForImageTextToText

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.load import LoadedBackbone, load_backbone
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.backbones.store import load_trained, save_backbone
from tests.backbones.tiny_families import FAMILIES

Kept = Callable[[str], LoadedBackbone]


def logits(backbone: LoadedBackbone) -> Tensor:
    written = backbone.tokenizer.write("Small nodule.", [("nodule", 2)])
    canvas = np.random.default_rng(7).random((1, 40, 40)).astype(np.float32)
    features = backbone.vlm.look(backbone.pictures(canvas))
    with torch.no_grad():
        return backbone.vlm.logits(backbone.vlm(torch.tensor([[*written.prompt, *written.answer]]), None, features))


@pytest.mark.parametrize("name", FAMILIES)
def test_what_was_added_is_saved_by_itself_and_read_back(name: str, kept: Kept, tmp_path: Path) -> None:
    backbone = kept(name)
    save_backbone(backbone, tmp_path / "run")
    save_backbone(backbone, tmp_path / "run")  # over an older one
    read = load_trained(tmp_path / "run")
    assert torch.equal(logits(read), logits(backbone))
    names = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    files = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "backbone.json", "rows.safetensors"]
    assert names == [f"run/{file}" for file in files]
    rows = load_file(tmp_path / "run" / "rows.safetensors")
    assert all(tensor.shape == (1, backbone.vlm.hidden_size) for tensor in rows.values())


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft asks for it by its old name
def test_peft_reads_the_adapter(kept: Kept, folders: Callable[[str], Path], tmp_path: Path) -> None:
    backbone = kept("llava")
    save_backbone(backbone, tmp_path / "run")
    base = AutoModelForImageTextToText.from_pretrained(folders("llava"), dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, tmp_path / "run" / "adapter").merge_and_unload().eval()
    prompt = torch.tensor([backbone.tokenizer.encode("left pleural effusion")])
    with torch.no_grad():
        theirs = merged(input_ids=prompt).logits
        ours = backbone.vlm.logits(backbone.vlm(prompt, None, None))[..., : theirs.shape[-1]]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_all_rows_are_saved_where_all_are_trained(load: Callable[..., LoadedBackbone], tmp_path: Path) -> None:
    backbone = load("smolvlm", rows="all", lora=None)
    save_backbone(backbone, tmp_path / "run")
    assert not (tmp_path / "run" / "adapter").exists()
    assert torch.equal(logits(load_trained(tmp_path / "run")), logits(backbone))


def damaged(folder: Path, change: str) -> None:
    if change == "no rows":
        (folder / "rows.safetensors").unlink()
    elif change == "rows of another model":
        (folder / "rows.safetensors").write_bytes((folder / "adapter" / "adapter_model.safetensors").read_bytes())
    elif change == "half an adapter":
        path = folder / "adapter" / "adapter_model.safetensors"
        path.write_bytes(path.read_bytes()[:-40])
    else:
        about = json.loads((folder / "backbone.json").read_text(encoding="utf-8"))
        about |= {"another format": {"format": "x"}, "another box": {"box": 3}, "no part": {"part": {}}}[change]
        (folder / "backbone.json").write_text(json.dumps(about), encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    ["no rows", "rows of another model", "half an adapter", "another format", "another box", "no part"],
)
def test_a_damaged_run_is_an_error(change: str, kept: Kept, tmp_path: Path) -> None:
    save_backbone(kept("llava"), tmp_path / "run")
    damaged(tmp_path / "run", change)
    with pytest.raises(ModelError):
        load_trained(tmp_path / "run")


def test_a_base_without_safetensors_is_refused(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders("llava"), tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_backbone(BackbonePart(id=str(folder)))


def test_remote_code_is_never_run(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders("llava"), tmp_path / "base")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModelForImageTextToText": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    marker = tmp_path / "ran"
    (folder / "mine.py").write_text(f"open({str(marker)!r}, 'w')\n", encoding="utf-8")
    with pytest.raises(ModelError):
        load_backbone(BackbonePart(id=str(folder)))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("file", "todo"), [("tokenizer.json", "Check this folder"), ("chat_template.jinja", "chat_template in the recipe")]
)
def test_a_base_with_a_missing_file_says_what_to_do(
    file: str, todo: str, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders("llava"), tmp_path / "base")
    (folder / file).unlink()
    with pytest.raises(ModelError, match=todo):
        load_backbone(BackbonePart(id=str(folder), dtype="float32"))


def test_a_family_without_a_rule_is_named(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders("llava"), tmp_path / "base")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    with pytest.raises(ModelError, match="got bert"):
        load_backbone(BackbonePart(id=str(folder)))


def test_a_template_that_does_not_place_the_image_is_refused(load: Callable[..., LoadedBackbone]) -> None:
    with pytest.raises(ModelError, match="writes '<image>' once"):
        load("llava", chat_template="{% for m in messages %}{{ m['content'][-1]['text'] }}{% endfor %}")


def test_a_part_is_strict() -> None:
    with pytest.raises(ValidationError):
        BackbonePart.model_validate({"id": "x", "revison": "y"})
    assert BackbonePart(id="x").lora is not None
