"""PFMVG's parts: four tokens joined, LoRA on exactly q and v, the answer alone learnt, a folder that comes back."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from knowmvg.core.boxtext.codec import PFMVG
from knowmvg.core.errors import ModelError
from knowmvg.core.frames import Frame
from knowmvg.grounders.backbones.load import load_speaking
from knowmvg.grounders.backbones.record import BackbonePart, LoraPart
from knowmvg.grounders.coordinates import store
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.conventions import CONVENTIONS
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.instructions import caption_text, pools
from knowmvg.grounders.coordinates.speaker import BackboneSpeaker
from knowmvg.grounders.coordinates.tuning import IGNORED, answer_loss, collate, seen, trainable, unfreeze
from knowmvg.grounders.store import fingerprint, load_grounder
from knowmvg.nn.joined_llava import JoinedProjection
from tests.backbones.tiny_families import write_family
from tests.grounders.coordinates.test_speaking import queries, study

LORA = LoraPart(r=64, alpha=16, dropout=0.05, targets=("q_proj", "v_proj"))


@pytest.fixture
def tuned(family_folder):
    """A tiny model in MiniGPT-v2's layout with the paper's adapters, and its projection unfrozen."""
    torch.manual_seed(5)
    part = BackbonePart(id=str(family_folder("joined_llava")), dtype="float32", lora=LORA)
    loaded = load_speaking(part)
    unfreeze(loaded.vlm)
    return loaded


def canvases(count):
    return np.random.default_rng(2).random((count, 56, 56)).astype(np.float32)


def test_four_neighbours_become_one_token():
    projection = JoinedProjection(3, 5)
    tokens = torch.arange(2 * 8 * 3, dtype=torch.float32).reshape(2, 8, 3)
    out = projection(tokens)
    assert out.shape == (2, 2, 5)
    by_hand = torch.cat([tokens[1, 4], tokens[1, 5], tokens[1, 6], tokens[1, 7]])
    torch.testing.assert_close(out[1, 1], projection.linear(by_hand))
    with pytest.raises(ValueError, match="multiple of 4"):
        projection(tokens[:, :7])


def test_image_tokens_are_those_of_the_tower_joined_and_projected(tuned):
    shown = tuned.pictures(canvases(2))
    tokens = seen(tuned, shown)
    assert tokens.shape[1] == 16
    assert tuned.vlm.image_length == 4
    torch.testing.assert_close(tuned.vlm.model.model.multi_modal_projector(tokens), tuned.vlm.look(shown))


def test_lora_touches_exactly_q_and_v_of_every_layer_of_the_language_model(tuned):
    names = set(trainable(tuned.vlm))
    layers = tuned.vlm.model.config.text_config.num_hidden_layers
    expected = {
        f"model.language_model.layers.{layer}.self_attn.{matrix}.lora_{part}.default.weight"
        for layer in range(layers)
        for matrix in ("q_proj", "v_proj")
        for part in "AB"
    }
    expected |= {f"model.multi_modal_projector.linear.{name}" for name in ("weight", "bias")}
    assert names == expected
    for name, parameter in trainable(tuned.vlm).items():
        if ".lora_A." in name:
            assert parameter.shape[0] == 64
    config, _ = tuned.vlm.adapter()
    assert (config.r, config.lora_alpha, config.lora_dropout) == (64, 16, 0.05)


def test_anything_else_that_holds_a_gradient_is_refused(tuned):
    tuned.vlm.model.lm_head.requires_grad_(True)
    with pytest.raises(ValueError, match="lm_head"):
        trainable(tuned.vlm)
    tuned.vlm.model.lm_head.requires_grad_(False)
    tuned.vlm.model.model.multi_modal_projector.linear.bias.requires_grad_(False)
    with pytest.raises(ValueError, match=r"linear\.bias"):
        trainable(tuned.vlm)


def batch(tuned, answers=("{<10><20><30><40>}", "{<1><2><99><100>}")):
    pairs = [(pools().refer_question(name), answer) for name, answer in zip(("nodule", "mass"), answers, strict=True)]
    return pairs, collate(tuned, pairs, seen(tuned, tuned.pictures(canvases(2))))


def test_the_loss_is_on_the_answer_and_its_end(tuned):
    pairs, made = batch(tuned)
    chat = tuned.conversation
    for row, (question, answer) in enumerate(pairs):
        kept = made.labels[row][made.labels[row] != IGNORED].tolist()
        assert kept[-1] == chat.end
        assert chat.said(kept).strip() == answer
        assert made.input_ids[row, : len(chat.question(question))].tolist() == chat.question(question)
    tuned.vlm.eval()
    states = tuned.vlm(made.input_ids, made.attention_mask, tuned.vlm.model.model.multi_modal_projector(made.seen))
    logs = tuned.vlm.logits(states).log_softmax(dim=-1)
    picked = [
        -logs[row, place - 1, token]
        for row in range(2)
        for place, token in enumerate(made.labels[row].tolist())
        if token != IGNORED
    ]
    torch.testing.assert_close(answer_loss(tuned.vlm, made), torch.stack(picked).mean())


def test_training_changes_what_it_should_and_learns(tuned):
    frozen = {n: p.detach().clone() for n, p in tuned.vlm.model.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.AdamW(trainable(tuned.vlm).values(), lr=1e-2, weight_decay=0.05)
    _, made = batch(tuned)
    tuned.vlm.train()
    losses = []
    for _ in range(30):
        loss = answer_loss(tuned.vlm, made)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]
    after = dict(tuned.vlm.model.named_parameters())
    assert all(torch.equal(after[name], value) for name, value in frozen.items())


def test_the_template_is_the_paper_s(tuned):
    text = tuned.conversation.rendered(pools().refer_question("Cardiac silhouette is enlarged"), None)
    image = "<image>" * 4
    assert text == f"<s>[INST] <Img>{image}</Img> [refer] give the place of cardiac silhouette is enlarged [/INST]"


def test_a_tuned_model_comes_back_from_its_folder(tuned, tmp_path):
    with torch.no_grad():
        for parameter in trainable(tuned.vlm).values():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    tuned.vlm.eval()
    config = CoordinatesConfig.of(CONVENTIONS["joined_llava"])
    grounder = CoordinateGrounder(BackboneSpeaker(tuned, projection=True), config, "tiny-pfmvg")
    for own in (False, True):
        folder = tmp_path / f"model-{own}"
        store.save(grounder, folder, {"steps": 3}, own_base=own)
        (folder / "README.md").write_text("card", encoding="utf-8")
        again = load_grounder(folder)
        asked = [queries("nodule", "mass")]
        for left, right in zip(
            grounder.ground_phrases([study(1)], asked), again.ground_phrases([study(1)], asked), strict=True
        ):
            assert left == right
        assert again.name == "tiny-pfmvg"
        print_ = fingerprint(folder)
        store.save(again, folder, {"steps": 3}, own_base=own)
        assert fingerprint(folder) == print_
        assert (folder / "README.md").read_text(encoding="utf-8") == "card"
        assert (folder / "base").is_dir() is own
        assert not list(tmp_path.glob("*.partial"))


def test_damaged_folders_are_told(tuned, tmp_path):
    config = CoordinatesConfig.of(CONVENTIONS["joined_llava"])
    grounder = CoordinateGrounder(BackboneSpeaker(tuned, projection=True), config, "m")
    folder = tmp_path / "m"
    store.save(grounder, folder)
    (folder / "projection.safetensors").write_bytes(b"junk")
    with pytest.raises(ModelError, match="whole model"):
        load_grounder(folder)
    (folder / "projection.safetensors").unlink()
    with pytest.raises(ModelError, match="whole model"):
        load_grounder(folder)


def test_pools_have_words_of_one_meaning():
    drawn = {pools().refer_question("a <b> Nodule", Random(seed)) for seed in range(60)}
    assert len(drawn) == len(pools().refer)
    assert all(question.startswith("[refer] ") and "a b nodule" in question for question in drawn)
    assert pools().caption_question(Random(1)).startswith("[caption] ")
    assert {pools().caption_question(Random(s), report=True)[10:] for s in range(60)} == set(pools().report)


def test_captions_are_cut_as_published():
    assert caption_text('The heart is "large". No: effusion!') == "the heart is large no effusion"
    assert len(caption_text("word " * 80).split()) == 50


def test_targets_are_the_published_form():
    frame = Frame.squash((2544, 3056), (448, 448))
    text = PFMVG.encode([(1425.0, 367.0, 2086.9, 947.9)], frame).text
    assert re.fullmatch(r"\{(<\d{1,3}>){4}\}", text)
    assert text == "{<56><12><82><31>}"


def test_a_base_without_adapters_is_kept_by_name(family_folder, tmp_path):
    folder = Path(write_family("llava", tmp_path / "llava"))
    loaded = load_speaking(BackbonePart(id=str(folder), dtype="float32", lora=None))
    config = CoordinatesConfig.of(CONVENTIONS["llava"])
    store.save(CoordinateGrounder(BackboneSpeaker(loaded), config, "plain"), tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["config.json"]
    assert load_grounder(tmp_path / "kept").name == "plain"
