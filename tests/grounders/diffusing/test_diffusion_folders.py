from __future__ import annotations

import json
import shutil

import pytest
import tiny_diffusion
import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, RobertaConfig, RobertaModel

from knowmvg.core.errors import ModelError
from knowmvg.grounders.diffusion import origins
from knowmvg.grounders.diffusion.parts import Source, load_parts, save_parts
from knowmvg.grounders.diffusion.settings import PRESETS
from knowmvg.grounders.diffusion.store import files_of, load, load_diffusion, save_diffusion
from knowmvg.grounders.diffusion.text import TextRecipe, load_encoder

TEXTS = ["small left pleural effusion", ""]


@pytest.fixture(scope="module")
def made():
    return {kind: tiny_diffusion.parts(kind) for kind in ("vae", "unshuffled")}


@pytest.fixture(scope="module")
def layout(made, tmp_path_factory):
    """A folder as diffusers' pipelines write it."""
    folder = tmp_path_factory.mktemp("stable") / "base"
    tiny_diffusion.save_in_diffusers_layout(made["vae"], folder)
    return folder


def same(one, other, atol=0.0):
    states = one.encode(TEXTS).states
    torch.testing.assert_close(other.encode(TEXTS).states, states, atol=1e-6, rtol=0)
    canvases = torch.rand(2, 1, one.latents.side, one.latents.side)
    latents, _ = one.latents.moments(canvases)
    torch.testing.assert_close(other.latents.moments(canvases)[0], latents, atol=max(atol, 1e-6), rtol=0)
    told = [each.unet(latents, 7, encoder_hidden_states=states).sample for each in (one, other)]
    torch.testing.assert_close(told[0], told[1], atol=max(atol, 1e-6), rtol=0)
    assert other.scheduler.config.beta_end == one.scheduler.config.beta_end


def test_a_folder_in_the_layout_of_diffusers(made, layout, capfd):
    read = load_parts(layout, text=TextRecipe(max_tokens=24))
    same(made["vae"], read)
    assert not any(parameter.requires_grad for parameter in read.unet.parameters())
    assert capfd.readouterr() == ("", "")
    assert load_parts(str(layout), device="cpu").text == TextRecipe()


@pytest.mark.parametrize("kind", ["vae", "unshuffled"])
def test_saved_and_loaded(made, kind, tmp_path, capfd):
    save_parts(made[kind], tmp_path / "whole", half=False)
    same(made[kind], load_parts(tmp_path / "whole"))
    save_parts(made[kind], tmp_path / "half")
    same(made[kind], load_parts(tmp_path / "half"), atol=5e-3)
    assert load_parts(tmp_path / "half").text == made[kind].text
    assert capfd.readouterr() == ("", "")


def test_parts_from_elsewhere_by_id_with_their_commit(made, layout, tmp_path, monkeypatch):
    """A fine-tuned UNet and a text encoder of their own, as the published weights of the paper lie on the hub."""
    hub = {"someone/tuned": tmp_path / "tuned" / "abc123", "someone/words": tmp_path / "words" / "def456"}
    made["vae"].unet.save_pretrained(hub["someone/tuned"] / "unet_ema")
    made["vae"].text_encoder.save_pretrained(hub["someone/words"])
    made["vae"].tokenizer.save_pretrained(hub["someone/words"])
    asked = []

    def snapshot(name, revision, allow_patterns, ignore_patterns, local_files_only):
        asked.append((name, revision, tuple(allow_patterns)))
        assert local_files_only, "what is there already is not asked for again"
        assert "*.fp16.*" in ignore_patterns
        return str(hub[name])

    monkeypatch.setattr(origins, "snapshot_download", snapshot)
    instead = {"unet": Source("someone/tuned", "unet_ema"), "text_encoder": Source("someone/words")}
    read = load_parts(layout, instead=instead, text=made["vae"].text)
    same(made["vae"], read)
    assert read.sources["unet"] == Source("someone/tuned", "unet_ema", "abc123")
    assert read.sources["tokenizer"] == read.sources["text_encoder"] == Source("someone/words", None, "def456")
    assert all(
        pattern.startswith("unet_ema/") for pattern in asked[[name for name, *_ in asked].index("someone/tuned")][2]
    )

    save_parts(read, tmp_path / "model", elsewhere=["unet", "text_encoder", "tokenizer"])
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["parts.json", "scheduler", "vae"]
    same(made["vae"], load_parts(tmp_path / "model"))
    assert {revision for _, revision, _ in asked[-3:]} == {"abc123", "def456"}
    with pytest.raises(ModelError, match="from the hub"):
        save_parts(read, tmp_path / "other", elsewhere=["vae"])
    assert not (tmp_path / "other").exists()


def test_what_is_not_there_as_a_whole_is_asked_of_the_hub(made, layout, tmp_path, monkeypatch):
    """A configuration alone, left by an earlier look, is no UNet."""
    folder = tmp_path / "abc123"
    made["vae"].unet.save_config(folder / "unet_ema")
    asked = []

    def snapshot(name, local_files_only, **options):
        asked.append(local_files_only)
        if not local_files_only:
            made["vae"].unet.save_pretrained(folder / "unet_ema")
        return str(folder)

    monkeypatch.setattr(origins, "snapshot_download", snapshot)
    same(made["vae"], load_parts(layout, instead={"unet": Source("a/b", "unet_ema")}, text=made["vae"].text))
    assert asked == [True, False]


def test_a_hub_that_is_not_there(monkeypatch, tmp_path):
    def nothing(name, **options):
        raise OSError("no connection")

    monkeypatch.setattr(origins, "snapshot_download", nothing)
    with pytest.raises(ModelError, match="id on the hub"):
        load_parts("someone/nothing")


def test_cxr_bert_as_a_plain_bert(tmp_path):
    """Its checkpoint has heads of its own, its configuration a type and code of its own: neither is needed."""
    bert = tiny_diffusion.bert()
    bert.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    own = {"model_type": "cxr-bert", "projection_size": 8, "auto_map": {"AutoModel": "modeling.CXRBertModel"}}
    (tmp_path / "config.json").write_text(json.dumps(config | own))
    (tmp_path / "modeling.py").write_text("raise SystemExit('remote code was run')")
    weights = {f"bert.{name}": tensor.clone() for name, tensor in bert.state_dict().items()}
    weights["cls_projection_head.dense_to_hidden.weight"] = torch.zeros(8, 16)
    ids = torch.tensor([[2, 5, 6, 3]])
    wanted = bert(ids).last_hidden_state
    for name, write in {
        "model.safetensors": lambda path: save_file(weights, path),
        "pytorch_model.bin": lambda path: torch.save(weights, path),
    }.items():
        (tmp_path / "model.safetensors").unlink(missing_ok=True)
        write(tmp_path / name)
        found = load_encoder(tmp_path, TextRecipe(kind="bert"))
        torch.testing.assert_close(found(ids).last_hidden_state, wanted)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        load_encoder(tmp_path, TextRecipe(kind="bert"))
    weights.pop("bert.embeddings.word_embeddings.weight")
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="1 missing"):
        load_encoder(tmp_path, TextRecipe(kind="bert"))


def test_a_checkpoint_that_would_run_code_is_not_read(tmp_path):
    tiny_diffusion.bert().config.save_pretrained(tmp_path)

    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"bert.x": Bad()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        load_encoder(tmp_path, TextRecipe(kind="bert"))
    assert not (tmp_path / "ran").exists()


def test_clip_and_any_encoder_of_transformers(tmp_path):
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    ids = torch.tensor([[0, 4, 5, 2]])
    clip = CLIPTextModel(CLIPTextConfig(vocab_size=30, eos_token_id=2, bos_token_id=0, pad_token_id=1, **small)).eval()
    roberta = RobertaModel(RobertaConfig(vocab_size=30, **small)).eval()
    for name, model, kinds in (("clip", clip, ("clip", "auto")), ("roberta", roberta, ("auto",))):
        model.save_pretrained(tmp_path / name)
        for kind in kinds:
            found = load_encoder(tmp_path / name, TextRecipe(kind=kind))
            torch.testing.assert_close(found(ids).last_hidden_state, model(ids).last_hidden_state)


def test_a_layer_below_the_last(made):
    parts = made["vae"]
    object.__setattr__(parts, "text", TextRecipe(max_tokens=24, layer=-2))
    below = parts.encode(TEXTS).states
    object.__setattr__(parts, "text", TextRecipe(max_tokens=24))
    assert not torch.allclose(below, parts.encode(TEXTS).states)


def test_a_model_folder(made, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "card.md").write_text("a card")
    settings = PRESETS["vilouras"].with_changes(layers=(1, 2))
    save_diffusion(made["unshuffled"], settings, "tiny", folder, {"steps": 3})
    read = load_diffusion(folder)
    assert (read.name, read.settings, read.findings) == ("tiny", settings, None)
    same(made["unshuffled"], read.parts, atol=5e-3)
    assert json.loads((folder / "config.json").read_text())["training"] == {"steps": 3}
    assert (folder / "card.md").read_text() == "a card"
    assert load(folder, "cpu").name == "tiny"
    files = files_of(folder)
    told = [path.relative_to(folder).as_posix() for path in files]
    assert {"config.json", "parts.json", "unet/diffusion_pytorch_model.safetensors", "vae/config.json"} <= set(told)
    assert "card.md" not in told
    assert told == [path.relative_to(tmp_path / "copy").as_posix() for path in files_of(copied(folder, tmp_path))]
    save_diffusion(made["vae"], PRESETS["generate-to-ground"], "tiny", folder, findings=["nodule", "edema"])
    assert load_diffusion(folder).findings == {"edema", "nodule"}
    assert set(files_of(folder)) - set(files) == {folder / "vae" / "diffusion_pytorch_model.safetensors"}
    assert not list(tmp_path.glob("*.partial"))


def copied(folder, place):
    shutil.copytree(folder, place / "copy")
    return place / "copy"


DAMAGE = {
    "no config": lambda f: (f / "config.json").unlink(),
    "no json": lambda f: (f / "config.json").write_text("{"),
    "a list": lambda f: (f / "config.json").write_text("[]"),
    "findings": lambda f: change(f / "config.json", findings="nodule"),
    "another system": lambda f: change(f / "config.json", system="prompted"),
    "no name": lambda f: change(f / "config.json", name=None),
    "settings": lambda f: change(f / "config.json", read={"steps": -1}),
    "no parts": lambda f: (f / "parts.json").unlink(),
    "parts of another format": lambda f: change(f / "parts.json", format="x/9"),
    "a recipe of nothing": lambda f: change(f / "parts.json", text={"speed": 3}),
    "no unet": lambda f: shutil.rmtree(f / "unet"),
    "no weights": lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").unlink(),
    "cut weights": lambda f: cut(f / "unet" / "diffusion_pytorch_model.safetensors"),
    "missing weights": lambda f: save_file({"x": torch.zeros(1)}, f / "unet" / "diffusion_pytorch_model.safetensors"),
    "no tokenizer": lambda f: (f / "tokenizer" / "tokenizer.json").write_text("{}"),
    "no text weights": lambda f: (f / "text_encoder" / "model.safetensors").unlink(),
    "latents of another size": lambda f: change(f / "vae" / "config.json", cells=16),
    "latents of other channels": lambda f: change(f / "vae" / "config.json", mean=[0.0] * 9, std=[1.0] * 9),
    "no latents": lambda f: (f / "vae" / "config.json").unlink(),
    "no schedule": lambda f: (f / "scheduler" / "scheduler_config.json").unlink(),
}


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage") / "whole"
    save_diffusion(made["unshuffled"], PRESETS["generate-to-ground"], "tiny", folder)
    return folder


@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_damage_is_named(whole, damage, tmp_path):
    shutil.copytree(whole, tmp_path / "model")
    DAMAGE[damage](tmp_path / "model")
    with pytest.raises(ModelError):
        load_diffusion(tmp_path / "model")


def test_a_text_encoder_of_another_width(made, layout, tmp_path):
    tiny_diffusion.bert(width=32).save_pretrained(tmp_path / "words")
    made["vae"].tokenizer.save_pretrained(tmp_path / "words")
    with pytest.raises(ModelError, match="width 16"):
        load_parts(layout, instead={"text_encoder": Source(str(tmp_path / "words"))})
