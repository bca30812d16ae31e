"""Text encoders of transformers: folders and hub ids alike, safetensors alone, and no code of anyone else's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from encoders import WORDS, save_roberta
from transformers import AutoTokenizer, RobertaModel

from knowmvg.core.errors import ModelError
from knowmvg.nn.text_encoder import encode_nodes
from knowmvg.training.prompted import text_model
from knowmvg.training.prompted.text_model import find_text_model, load_text_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_roberta(tmp_path_factory.mktemp("encoder") / "roberta")


@pytest.fixture
def copied(folder, tmp_path) -> Path:
    target = tmp_path / "copy"
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def load(folder: Path | str):
    return load_text_model(find_text_model(str(folder)))


def test_states_are_those_of_the_model_itself(folder):
    states, mask = load(folder).encode(WORDS)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), RobertaModel.from_pretrained(folder).eval()
    for row, text in enumerate(WORDS):
        alone = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        assert int(mask[row].sum()) == len(alone)
        torch.testing.assert_close(states[row][mask[row].bool()], alone, atol=1e-5, rtol=1e-5)


def test_it_is_frozen_and_passes_no_gradient(folder):
    loaded = load(folder)
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert not encode_nodes(WORDS, loaded.encode).requires_grad


def test_a_hub_id_is_loaded_by_the_same_path(folder, monkeypatch):
    asked = []

    def snapshot(name, *, revision, allow_patterns, local_files_only):
        asked.append((name, revision, local_files_only))
        assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in allow_patterns)
        if local_files_only:
            raise OSError("not there yet")
        return str(folder)

    monkeypatch.setattr(text_model, "snapshot_download", snapshot)
    found = find_text_model("some/encoder", "main")
    assert asked == [("some/encoder", "main", True), ("some/encoder", "main", False)]
    assert (found.revision, found.identity) == (folder.name, find_text_model(str(folder)).identity)
    assert torch.equal(load_text_model(found).encode(WORDS)[0], load(folder).encode(WORDS)[0])


def test_what_the_hub_left_here_is_not_asked_for_again(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        text_model,
        "snapshot_download",
        lambda *_, local_files_only, **__: asked.append(local_files_only) or str(folder),
    )
    find_text_model("some/encoder")
    assert asked == [True]


def test_without_the_hub_an_id_is_a_plain_error(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.setattr(text_model, "snapshot_download", offline)
    with pytest.raises(ModelError, match=r"some/encoder; got no route\. Check the name"):
        find_text_model("some/encoder")


def test_the_identity_follows_the_files(folder, copied):
    assert find_text_model(str(copied)).identity == find_text_model(str(folder)).identity
    (copied / "notes.md").write_text("not read")
    assert find_text_model(str(copied)).identity == find_text_model(str(folder)).identity
    with (copied / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last[0] ^ 1]))
    assert find_text_model(str(copied)).identity != find_text_model(str(folder)).identity


def test_weights_that_are_no_safetensors_are_refused(copied):
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        find_text_model(str(copied))


def test_a_revision_of_a_folder_is_refused(folder):
    with pytest.raises(ModelError, match="revision"):
        find_text_model(str(folder), "main")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def changed(name: str, **values: object):
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: cut(folder / "model.safetensors"),
        lambda folder: cut(folder / "tokenizer.json"),
        lambda folder: cut(folder / "config.json"),
        lambda folder: (folder / "config.json").unlink(),
        changed("config.json", num_hidden_layers=3),
        changed("config.json", model_type="gpt2", n_positions=64),
        changed("config.json", model_type="t5"),
        changed("config.json", model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModel": "own.Model"}),
    ],
)
def test_damaged_or_other_models_are_refused_and_no_code_is_run(copied, change):
    (copied / "own.py").write_text("raise SystemExit('remote code was run')")
    change(copied)
    with pytest.raises(ModelError):
        load(copied)


def test_a_text_that_is_too_long_is_told_and_not_cut(tmp_path):
    encoder = load(save_roberta(tmp_path / "short", positions=12))
    assert encoder.max_tokens == 10  # positions count from behind the padding token's id
    assert encoder.encode(["heart"])[0].shape[0] == 1
    with pytest.raises(ModelError, match="at most 10 tokens"):
        encoder.encode(["heart " * 20])
