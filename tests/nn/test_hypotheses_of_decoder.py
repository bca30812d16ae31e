"""A box decoder with several hypotheses, and the baseline's second box head."""

from __future__ import annotations

import pytest
import torch

from knowmvg.nn.box_decoder import BoxDecoder
from knowmvg.nn.global_local_attention import GlobalLocalAttention, PlainAttention, Segmenter
from knowmvg.nn.prompt_encoder import PromptConfig, build_mask_decoder, build_prompt_encoder, image_positions

CONFIG = PromptConfig(channels=16, canvas=64, grid=8, mlp=16, layers=2, heads=2)


@pytest.fixture
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(build_prompt_encoder(CONFIG), build_mask_decoder(CONFIG)).eval()


@pytest.fixture
def positions(segmenter: Segmenter) -> torch.Tensor:
    return image_positions(segmenter.prompt_encoder).detach()


def inputs(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(5)
    return torch.randn(rows, 16, 8, 8, generator=drawn), torch.randn(rows, 2, 16, generator=drawn)


@pytest.mark.parametrize("head", ["token", "edge", "extent"])
def test_the_answer_is_the_mean_of_its_hypotheses_phrase_by_phrase(positions: torch.Tensor, head: str) -> None:
    torch.manual_seed(1)
    decoder = BoxDecoder(CONFIG, head, hypotheses=3).eval()
    features, prompts = inputs(3)
    together = decoder(features, positions, prompts)
    assert together.hypotheses is not None
    assert together.hypotheses.shape == (3, 3, 4)
    torch.testing.assert_close(together.xyxy, together.hypotheses.mean(dim=1))
    assert float(together.hypotheses.detach().std(dim=1).max(dim=1).values.min()) > 0  # they differ
    for row in range(3):
        alone = decoder(features[row : row + 1], positions, prompts[row : row + 1]).hypotheses
        torch.testing.assert_close(together.hypotheses[row], alone[0], atol=1e-5, rtol=1e-5)


def test_hypotheses_start_from_sams_mask_tokens(segmenter: Segmenter, positions: torch.Tensor) -> None:
    decoder = BoxDecoder(CONFIG, "token", hypotheses=3)
    decoder.start_from(segmenter.mask_decoder)
    assert decoder.other_tokens is not None
    torch.testing.assert_close(decoder.other_tokens[0], segmenter.mask_decoder.mask_tokens.weight[:2])
    features, prompts = inputs(2)
    tokens = torch.cat([decoder.box_token.expand(2, -1, -1), decoder.other_tokens.expand(2, -1, -1), prompts], 1)
    decoded, image = decoder.transformer(
        point_embeddings=tokens[:, None],
        image_embeddings=features,
        image_positional_embeddings=positions,
        attention_similarity=None,
    )
    by_hand = torch.stack([decoder.head(decoded[:, 0, h], image[:, 0]) for h in range(3)], dim=1)  # one shared head
    torch.testing.assert_close(decoder(features, positions, prompts).hypotheses, by_hand)


def test_one_hypothesis_has_no_further_token_and_no_spread(positions: torch.Tensor) -> None:
    decoder = BoxDecoder(CONFIG, "token")
    assert "other_tokens" not in dict(decoder.named_parameters())
    assert decoder(torch.zeros(1, 16, 8, 8), positions, torch.zeros(1, 2, 16)).hypotheses is None
    for wrong in (0, 6):
        with pytest.raises(ValueError, match="1 to 5 hypotheses"):
            BoxDecoder(CONFIG, "token", hypotheses=wrong)


def test_no_phrase_has_no_hypothesis(positions: torch.Tensor) -> None:
    none = BoxDecoder(CONFIG, "token", hypotheses=3)(torch.zeros(0, 16, 8, 8), positions, torch.zeros(0, 1, 16))
    assert none.hypotheses is not None
    assert none.hypotheses.shape == (0, 3, 4)


def test_branches_are_fused_hypothesis_by_hypothesis(segmenter: Segmenter, positions: torch.Tensor) -> None:
    torch.manual_seed(2)
    attention = GlobalLocalAttention(BoxDecoder(CONFIG, "token", hypotheses=3), 16, "branch").eval()
    features, _ = inputs(2)
    with torch.no_grad():
        attention.gate.bias.fill_(1.0)
        decoded = attention(torch.randn(2, 16), torch.zeros(2, 0, 16), features, positions, segmenter)
    share = torch.tensor(1.0).sigmoid()
    wide, local = (decoded.branches[name].hypotheses for name in ("global", "local"))
    torch.testing.assert_close(decoded.boxes.hypotheses, share * wide + (1 - share) * local)
    torch.testing.assert_close(decoded.boxes.xyxy, decoded.boxes.hypotheses.mean(dim=1))


@pytest.mark.parametrize(("coarse", "taught"), [("trained", True), ("frozen", False)])
def test_the_second_box_head_teaches_the_embedding_and_prompts_nothing(
    segmenter: Segmenter, positions: torch.Tensor, coarse: str, taught: bool
) -> None:
    torch.manual_seed(3)
    decoder = BoxDecoder(CONFIG, "token")
    plain, beside = PlainAttention(decoder), PlainAttention(decoder, 16, coarse)
    features, _ = inputs(2)
    embedding, none = torch.randn(2, 16, requires_grad=True), torch.zeros(2, 0, 16)
    found = beside(embedding, none, features, positions, segmenter)
    assert plain(embedding, none, features, positions, segmenter).local is None
    torch.testing.assert_close(found.boxes.xyxy, plain(embedding, none, features, positions, segmenter).boxes.xyxy)
    found.local.sum().backward()
    assert float(embedding.grad.abs().sum()) > 0
    assert all((p.grad is not None) == taught == p.requires_grad for p in beside.local_prompt.parameters())
    with pytest.raises(ValueError, match=r"none\|trained\|frozen"):
        PlainAttention(decoder, 16, "yes")


def test_the_global_branch_may_see_the_coarse_box(segmenter: Segmenter, positions: torch.Tensor) -> None:
    torch.manual_seed(4)
    decoder = BoxDecoder(CONFIG, "token").eval()
    apart = GlobalLocalAttention(decoder, 16, "box").eval()
    told = GlobalLocalAttention(decoder, 16, "box", global_sees_local=True).eval()
    told.load_state_dict(apart.state_dict())
    features, _ = inputs(2)
    embedding, none = torch.randn(2, 16), torch.zeros(2, 0, 16)
    one, other = (a(embedding, none, features, positions, segmenter).branches for a in (apart, told))
    torch.testing.assert_close(one["local"].xyxy, other["local"].xyxy)
    assert not torch.allclose(one["global"].xyxy, other["global"].xyxy)
