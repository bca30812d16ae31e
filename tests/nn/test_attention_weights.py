"""Attention weights are those of the decoder itself, and asking for them changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from knowmvg.nn.attention_weights import AttentiveBoxDecoder, with_parts
from knowmvg.nn.box_decoder import BoxDecoder
from knowmvg.nn.prompt_encoder import PromptConfig, build_prompt_encoder, image_positions

CONFIG = PromptConfig(channels=32, canvas=64, grid=8, mlp=16, layers=2, heads=2)


@pytest.fixture
def decoder() -> BoxDecoder:
    torch.manual_seed(0)
    made = BoxDecoder(CONFIG).eval()
    for parameter in made.transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


@pytest.fixture
def positions() -> torch.Tensor:
    torch.manual_seed(1)
    return image_positions(build_prompt_encoder(CONFIG)).detach()


def inputs(rows: int = 3, seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(rows, 32, 8, 8), torch.randn(rows, 4, 32)


@torch.no_grad()
def test_they_are_the_weights_that_the_attention_itself_gives(decoder, positions):
    features, prompts = inputs()
    attention = decoder.transformer.final_attn_token_to_image
    attention.config._attn_implementation = "eager"  # the implementation that returns its weights
    told = []
    handle = attention.register_forward_hook(lambda _, __, output: told.append(output[1]))
    decoder(features, positions, prompts)
    handle.remove()
    found = AttentiveBoxDecoder(decoder)(features, positions, prompts).attention
    assert found.shape == (3, 2, 8, 8)
    torch.testing.assert_close(found, told[0][:, :, 0].unflatten(-1, (8, 8)))  # [P, heads, tokens, cells]
    torch.testing.assert_close(found.sum(dim=(2, 3)), torch.ones(3, 2))
    assert float(found.std()) > 1e-4  # a uniform distribution would prove nothing


@torch.no_grad()
def test_the_boxes_stay_what_they_are_and_nothing_is_kept(decoder, positions):
    features, prompts = inputs()
    before = decoder(features, positions, prompts)
    asked = AttentiveBoxDecoder(decoder)(features, positions, prompts)
    for name in ("xyxy", "score", "mask"):
        assert torch.equal(getattr(before, name), getattr(asked, name))
    assert before.attention is None
    assert decoder(features, positions, prompts).attention is None
    assert type(decoder.transformer.final_attn_token_to_image).__name__ == "SamAttention"


@torch.no_grad()
def test_a_batch_is_its_singles_also_of_calls_at_once(decoder, positions):
    watched = AttentiveBoxDecoder(decoder)
    features, prompts = inputs(6)
    together = watched(features, positions, prompts).attention

    def alone(row: int) -> torch.Tensor:
        with torch.no_grad():
            return watched(features[row : row + 1], positions, prompts[row : row + 1]).attention[0]

    with ThreadPoolExecutor(4) as pool:
        for row, found in enumerate(pool.map(alone, range(6))):
            torch.testing.assert_close(found, together[row], atol=1e-5, rtol=1e-4)


def test_no_row_has_no_weights(decoder, positions):
    features, prompts = inputs(0)
    assert AttentiveBoxDecoder(decoder)(features, positions, prompts).attention is None


def test_parts_are_exchanged_in_the_copy_alone(decoder):
    other = with_parts(decoder, score=torch.nn.Identity())
    assert isinstance(other.score, torch.nn.Identity)
    assert not isinstance(decoder.score, torch.nn.Identity)
    assert other.transformer is decoder.transformer
