"""The parts joined are the parts: LISA is SAM fed the token, without its elements KnowMVG is the baseline."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from knowmvg.core.grounder import Query
from knowmvg.core.records import Phrase
from knowmvg.grounders.prompted.model import NoKnowledge
from knowmvg.grounders.prompted.variants import VARIANTS, build_model
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.nn.attention_weights import with_parts
from knowmvg.nn.global_local_attention import PlainAttention, Segmenter
from knowmvg.nn.language_model import LanguageModel
from knowmvg.nn.mask_decoder import soft_extent
from knowmvg.nn.prompt_encoder import image_positions
from tests.grounders.conftest import labelled_study, tiny_config, tiny_grounder


def upstream_sam() -> SamModel:
    torch.manual_seed(4)
    vision = SamVisionConfig(
        hidden_size=16, output_channels=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8,
        window_size=4, global_attn_indexes=[1], mlp_dim=32, num_pos_feats=8,
    )  # fmt: skip
    decoder = SamMaskDecoderConfig(hidden_size=16, mlp_dim=16, num_attention_heads=2, iou_head_hidden_dim=16)
    prompts = SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=8)
    sam = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))
    with torch.no_grad():
        for parameter in sam.parameters():  # away from the start values, among them zeros
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return sam.requires_grad_(False).eval()


@torch.no_grad()
def test_lisa_is_upstream_sam_fed_the_same_token(tokenizer) -> None:
    sam, config = upstream_sam(), tiny_config(tokenizer, VARIANTS["lisa"]())
    assert config.language is not None
    segmenter = Segmenter(sam.prompt_encoder, sam.mask_decoder)
    model = build_model(
        config, torch.zeros(1, 1), torch.eye(1), nn.Identity(), segmenter, LanguageModel(config.language)
    ).eval()
    features = sam.vision_encoder(torch.randn(2, 3, 64, 64)).last_hidden_state
    states, rows = torch.randn(3, config.language.width), torch.tensor([0, 1, 1])
    ours = model.place(states, states, features, rows)
    tokens = model.projection(states)
    for row, (token, image) in enumerate(zip(tokens, rows.tolist(), strict=True)):
        theirs = sam.mask_decoder(
            image_embeddings=features[image : image + 1],
            image_positional_embeddings=sam.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=token[None, None, None],
            dense_prompt_embeddings=sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(-1, -1, 8, 8),
            multimask_output=False,
        )
        torch.testing.assert_close(ours.decoded.boxes.mask[row], theirs[0][0, 0, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.decoded.boxes.score[row], theirs[1][0, 0, 0], atol=1e-5, rtol=1e-5)
        assert torch.equal(ours.decoded.boxes.xyxy[row], soft_extent(ours.decoded.boxes.mask[row : row + 1])[0])
    torch.testing.assert_close(
        image_positions(segmenter.prompt_encoder), sam.get_image_wide_positional_embeddings(), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("head", ["token", "edge", "extent"])
@torch.no_grad()
def test_with_both_elements_switched_off_knowmvg_is_the_baseline_bit_for_bit(head: str, tokenizer, graph) -> None:
    full = tiny_grounder(VARIANTS["knowmvg"](head), tokenizer, graph).model
    plain = tiny_grounder(VARIANTS["baseline"](head), tokenizer, graph, seed=9).model
    shared = full.state_dict()
    plain.load_state_dict({name: shared[name] for name in plain.state_dict()})
    bare = with_parts(full, knowledge=NoKnowledge(), attention=PlainAttention(full.attention.decoder))
    states, features = torch.randn(4, full.vlm.hidden_size), torch.randn(2, 16, 8, 8)
    rows = torch.tensor([0, 0, 1, 1])
    ours, theirs = (model.place(states, states, features, rows).decoded for model in (bare, plain))
    assert torch.equal(ours.boxes.xyxy, theirs.boxes.xyxy)
    assert torch.equal(ours.boxes.score, theirs.boxes.score)
    assert not torch.equal(full.place(states, states, features, rows).decoded.boxes.xyxy, ours.boxes.xyxy)


@torch.no_grad()
def test_losses_on_cached_features_are_those_without_a_cache(tokenizer, graph: KnowledgeGraph) -> None:
    grounder = tiny_grounder(VARIANTS["knowmvg"](), tokenizer, graph)
    examples = [grounder.example(labelled_study()), grounder.example(labelled_study(1))]
    fresh = grounder.collate(examples)
    kept = grounder.collate([e.without_canvas() for e in examples], grounder.model.encode(fresh.image))
    assert kept.cached
    assert not fresh.cached
    ours, theirs = grounder.losses(kept), grounder.losses(fresh)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("variant", ["baseline", "knowmvg", "lisa"])
def test_all_phrases_of_a_batch_are_decoded_in_one_pass(variant: str, tokenizer, graph) -> None:
    grounder = tiny_grounder(VARIANTS[variant](), tokenizer, graph)
    passes: list[int] = []
    decoder = grounder.model.attention.decoder
    handle = decoder.register_forward_hook(lambda _, given, made: passes.append(len(given[0])))
    eight = [Query(Phrase(text=f"{place} nodule"), 1) for place in ("left", "right") for _ in range(4)]
    grounder.ground_phrases([labelled_study(), labelled_study(1)], [eight, eight[:3]])
    handle.remove()
    branches = 2 if variant == "knowmvg" else 1  # equations 12 and 14 each take one
    assert passes == [11] * branches
