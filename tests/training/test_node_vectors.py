"""Node texts are encoded once: the file depends on all that the vectors depend on, and is whole or made again."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from encoders import WORDS, save_roberta

from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.nn.language_model import LanguageModel, LanguageModelConfig
from knowmvg.nn.text_encoder import encode_nodes
from knowmvg.training.prompted.node_vectors import cached_vectors, node_vectors, vectors_key
from knowmvg.training.prompted.recipe import NodeTextPart
from knowmvg.training.prompted.text_model import find_text_model, load_text_model


@pytest.fixture(scope="module")
def tokenizer() -> GroundingTokenizer:
    return GroundingTokenizer.train(WORDS * 3, 4, 300)


def language(tokenizer: GroundingTokenizer, seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    return LanguageModel(LanguageModelConfig(len(tokenizer), width=32, layers=1, heads=1)).eval()


def never() -> torch.Tensor:
    raise AssertionError("encoded again")


def test_cached_is_what_was_computed_and_is_not_computed_again(tmp_path, tokenizer):
    folder = save_roberta(tmp_path / "encoder")
    part = NodeTextPart(encoder=str(folder))
    told: list[str] = []
    first = node_vectors(WORDS, part, language(tokenizer), tokenizer, tmp_path / "nodes", told.append)
    again = node_vectors(WORDS, part, language(tokenizer), tokenizer, tmp_path / "nodes", told.append)
    uncached = encode_nodes(WORDS, load_text_model(find_text_model(str(folder))).encode)
    assert torch.equal(first, again)
    assert torch.equal(first, uncached)
    assert len(list((tmp_path / "nodes").iterdir())) == 1
    assert not any("warning" in line for line in told)


def test_every_thing_that_the_vectors_depend_on_has_a_file_of_its_own(tmp_path, tokenizer):
    one, other = save_roberta(tmp_path / "a"), save_roberta(tmp_path / "b", seed=1)
    cases = [
        (WORDS, NodeTextPart(), 0),
        (WORDS, NodeTextPart(), 1),
        (WORDS, NodeTextPart(encoder=str(one)), 0),
        (WORDS, NodeTextPart(encoder=str(other)), 0),
        (WORDS, NodeTextPart(encoder=str(one), pooling="cls"), 0),
        (WORDS[::-1], NodeTextPart(encoder=str(one)), 0),
    ]
    found = [
        node_vectors(texts, part, language(tokenizer, seed), tokenizer, tmp_path / "nodes", lambda _: None)
        for texts, part, seed in cases
    ]
    assert len(list((tmp_path / "nodes").iterdir())) == len(cases)
    assert all(bool(vectors.isfinite().all()) and len(vectors) == len(WORDS) for vectors in found)
    torch.testing.assert_close(found[5].flip(0), found[2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "harm",
    [
        flip,
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"junk" * 50),
    ],
)
def test_a_damaged_file_is_told_and_made_again(tmp_path, harm):
    vectors, told = torch.randn(3, 4), []
    cached_vectors(tmp_path, "k" * 64, lambda: vectors, told.append)
    (path,) = tmp_path.iterdir()
    harm(path)
    assert torch.equal(cached_vectors(tmp_path, "k" * 64, lambda: vectors, told.append), vectors)
    assert len(told) == 1
    assert "damaged" in told[0]
    assert torch.equal(cached_vectors(tmp_path, "k" * 64, never, told.append), vectors)


def test_a_file_of_another_key_is_not_taken(tmp_path):
    cached_vectors(tmp_path, "a" * 64, lambda: torch.ones(2, 2), print)
    (path,) = tmp_path.iterdir()
    os.replace(path, path.with_name(f"nodes-{'b' * 24}.safetensors"))
    told: list[str] = []
    found = cached_vectors(tmp_path, "b" * 64, lambda: torch.zeros(2, 2), told.append)
    assert torch.equal(found, torch.zeros(2, 2))
    assert len(told) == 1


def test_workers_at_once_leave_one_whole_file(tmp_path):
    vectors = torch.randn(50, 20)

    def work(_: int) -> torch.Tensor:
        return cached_vectors(tmp_path, "c" * 64, vectors.clone, lambda line: pytest.fail(line))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(24)))
    assert all(torch.equal(one, vectors) for one in found)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_encoder_leaves_nothing(tmp_path):
    with pytest.raises(AssertionError, match="again"):
        cached_vectors(tmp_path / "new", "d" * 64, never, print)
    assert not (tmp_path / "new").exists()


def test_texts_are_told_apart_wherever_they_are_cut():
    keys = {vectors_key(texts, "e", "mean") for texts in (["a", "b"], ["ab"], ["a b"], ['a", "b'])}
    assert len(keys) == 4
