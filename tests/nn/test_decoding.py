"""Box decoder, heads, prompts and global-local attention on tiny random sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from knowmvg.nn.box_decoder import BoxDecoder, EdgeBoxHead, ExtentBoxHead, TokenBoxHead
from knowmvg.nn.box_ops import filled
from knowmvg.nn.global_local_attention import Gate, GlobalLocalAttention, PlainAttention, Segmenter
from knowmvg.nn.graph_convolution import GraphConvolution
from knowmvg.nn.knowledge_prompts import KnowledgeConfig, KnowledgePrompts
from knowmvg.nn.local_prompt import LocalPrompt
from knowmvg.nn.mask_decoder import MaskToBox, decode_masks, soft_extent
from knowmvg.nn.prompt_encoder import PromptConfig, build_mask_decoder, build_prompt_encoder, image_positions

CONFIG = PromptConfig(channels=16, canvas=64, grid=8, mlp=16, layers=2, heads=2)


@pytest.fixture
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(build_prompt_encoder(CONFIG), build_mask_decoder(CONFIG)).eval()


@pytest.fixture
def positions(segmenter: Segmenter) -> torch.Tensor:
    return image_positions(segmenter.prompt_encoder).detach()


def test_positions_are_what_sam_computes(segmenter: Segmenter, positions: torch.Tensor) -> None:
    from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

    vision = SamVisionConfig(
        hidden_size=16,
        output_channels=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        num_pos_feats=8,
        mlp_dim=16,
        global_attn_indexes=[0],
        window_size=4,
    )
    prompt = SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=8)
    decoder = SamMaskDecoderConfig(hidden_size=16, mlp_dim=16, num_attention_heads=2, iou_head_hidden_dim=16)
    model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder))
    model.shared_image_embedding.load_state_dict(segmenter.prompt_encoder.shared_embedding.state_dict())
    torch.testing.assert_close(model.get_image_wide_positional_embeddings(), positions)


@pytest.mark.parametrize("head", ["token", "edge", "extent"])
@pytest.mark.parametrize("draws", [False, True])
def test_a_batch_of_prompts_is_its_singles(positions: torch.Tensor, head: str, draws: bool) -> None:
    torch.manual_seed(1)
    decoder = BoxDecoder(CONFIG, head, draws).eval()
    features, prompts = torch.randn(3, 16, 8, 8), torch.randn(3, 2, 16)
    together = decoder(features, positions, prompts)
    for row in range(3):
        alone = decoder(features[row : row + 1], positions, prompts[row : row + 1])
        torch.testing.assert_close(together.xyxy[row], alone.xyxy[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.score[row], alone.score[0], atol=1e-5, rtol=1e-5)
    assert (together.mask is not None) == (draws or head == "extent")
    assert (together.xyxy[:, 2:] >= together.xyxy[:, :2]).all()


def test_zero_prompts_give_zero_boxes(segmenter: Segmenter, positions: torch.Tensor) -> None:
    for decoder in (BoxDecoder(CONFIG, "edge", True), MaskToBox(segmenter.mask_decoder)):
        boxes = decoder(torch.zeros(0, 16, 8, 8), positions, torch.zeros(0, 1, 16))
        assert boxes.xyxy.shape == (0, 4)
        assert boxes.score.shape == (0,)


def test_the_box_decoder_starts_as_sams_transformer(segmenter: Segmenter, positions: torch.Tensor) -> None:
    decoder = BoxDecoder(CONFIG, "edge")
    decoder.start_from(segmenter.mask_decoder)
    ours = dict(decoder.transformer.named_parameters())
    for name, weight in segmenter.mask_decoder.transformer.named_parameters():
        torch.testing.assert_close(ours[name], weight)
    torch.testing.assert_close(decoder.box_token[0], segmenter.mask_decoder.iou_token.weight)


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a box head of \['edge', 'extent', 'token'\], got 'corner'"):
        BoxDecoder(CONFIG, "corner")


def test_the_edge_head_reads_place_from_the_image_tokens() -> None:
    torch.manual_seed(0)
    head = EdgeBoxHead(16, 8)
    for layer in (head.queries.layers[-1], head.offset.layers[-1]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    nn.init.ones_(head.queries.layers[-1].bias)
    nn.init.eye_(head.keys.weight)
    nn.init.zeros_(head.keys.bias)
    image = torch.zeros(1, 64, 16)
    image[0, 3 * 8 + 5] = 100.0  # row 3, column 5
    box = head(torch.zeros(1, 16), image)
    torch.testing.assert_close(box, torch.tensor([[5.5, 3.5, 5.5, 3.5]]) / 8)


def _extent_head() -> ExtentBoxHead:
    head = ExtentBoxHead(16)
    nn.init.zeros_(head.offset.layers[-1].weight)
    nn.init.zeros_(head.offset.layers[-1].bias)
    return head


def test_the_extent_head_is_the_extent_of_a_sure_drawing() -> None:
    drawn = torch.full((2, 8, 8), -50.0)
    drawn[0, 2:5, 3:7] = 50
    drawn[1, 6, 1] = 50
    boxes = _extent_head()(torch.randn(2, 16), torch.randn(2, 64, 16), drawn)
    torch.testing.assert_close(boxes, torch.tensor([[3.0, 2, 7, 5], [1, 6, 2, 7]]) / 8)
    torch.testing.assert_close(boxes, soft_extent(drawn))


def test_the_extent_head_puts_an_edge_inside_a_half_covered_cell() -> None:
    head = _extent_head()
    drawn = torch.full((1, 8, 8), -50.0)
    drawn[0, 2:5, 3:7] = 50
    drawn[0, 2:5, 3] = head.threshold.item()  # occupied with probability one half
    box = head(torch.randn(1, 16), torch.randn(1, 64, 16), drawn)
    torch.testing.assert_close(box, torch.tensor([[3.5, 2, 7, 5]]) / 8)


def test_gradients_of_the_extent_reach_the_drawing() -> None:
    drawn = torch.randn(1, 8, 8, requires_grad=True)
    _extent_head()(torch.randn(1, 16), torch.randn(1, 64, 16), drawn).sum().backward()
    assert drawn.grad is not None
    assert drawn.grad.abs().sum() > 0


def test_an_empty_and_a_full_drawing_have_a_box() -> None:
    boxes = _extent_head()(torch.randn(2, 16), torch.randn(2, 64, 16), torch.tensor([-50.0, 50.0]).reshape(2, 1, 1))
    assert torch.isfinite(boxes).all()
    torch.testing.assert_close(boxes[1], torch.tensor([0.0, 0, 1, 1]))


def test_filled_boxes_cover_their_share_of_each_cell() -> None:
    cells = filled(torch.tensor([[0.25, 0.5, 0.625, 1.0], [0.3, 0.3, 0.3, 0.3]]), 2, 4)
    torch.testing.assert_close(cells[0], torch.tensor([[0.0, 0, 0, 0], [0, 1, 0.5, 0]]))
    assert cells[1].sum() == 0


def test_the_token_head_reads_the_token_alone() -> None:
    head = TokenBoxHead(16)
    token = torch.randn(2, 16)
    torch.testing.assert_close(head(token, torch.randn(2, 64, 16)), head(token, torch.randn(2, 64, 16)))


def test_corner_tokens_are_sams_own(segmenter: Segmenter) -> None:
    prompt = LocalPrompt(16)
    boxes = torch.tensor([[0.1, 0.2, 0.6, 0.9]])
    tokens = prompt.tokens(boxes, segmenter.prompt_encoder)
    encoder = segmenter.prompt_encoder
    for token, corner, kind in ((tokens[0, 0], boxes[0, :2], 2), (tokens[0, 1], boxes[0, 2:], 3)):
        wanted = encoder.shared_embedding(corner[None, None, None])[0, 0, 0] + encoder.point_embed[kind].weight[0]
        torch.testing.assert_close(token, wanted, atol=1e-5, rtol=1e-5)


def test_graph_convolution_is_the_dense_formula() -> None:
    torch.manual_seed(0)
    layer = GraphConvolution(3, 4)
    edges = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])
    loops = edges + torch.eye(3)
    degree = loops.sum(1)
    adjacency = degree[:, None] ** -0.5 * loops * degree[None] ** -0.5
    nodes = torch.randn(3, 3)
    rows = []
    for i in range(3):
        total = sum(loops[i, j] / (degree[i] * degree[j]).sqrt() * layer.weight.weight @ nodes[j] for j in range(3))
        rows.append(torch.relu(total))
    torch.testing.assert_close(layer(nodes, adjacency), layer.norm(torch.stack(rows)))


def test_the_nearest_nodes_become_prompts() -> None:
    torch.manual_seed(0)
    source = KnowledgePrompts(torch.randn(6, 5), torch.eye(6), 16, KnowledgeConfig(k=2))
    nodes = source.embeddings()
    chosen = source(nodes[[4, 1]] * 3)
    assert chosen.nodes[:, 0].tolist() == [4, 1]
    torch.testing.assert_close(chosen.tokens[0, 0], nodes[4])
    assert source(nodes[:1]).tokens.shape == (1, 2, 16)


def test_a_small_graph_is_not_duplicated() -> None:
    source = KnowledgePrompts(torch.randn(3, 5), torch.eye(3), 16, KnowledgeConfig(k=5))
    chosen = source(torch.randn(2, 16))
    assert chosen.nodes.shape == (2, 3)
    assert all(sorted(row) == [0, 1, 2] for row in chosen.nodes.tolist())


def test_hard_selection_passes_no_gradient_to_the_similarity_and_soft_selection_does() -> None:
    for weighting, learns in (("none", False), ("softmax", True)):
        torch.manual_seed(0)
        source = KnowledgePrompts(torch.randn(6, 5), torch.eye(6), 16, KnowledgeConfig(k=2, weighting=weighting))
        phrase = torch.randn(1, 16, requires_grad=True)
        source(phrase).tokens.square().sum().backward()
        assert (phrase.grad is not None and bool(phrase.grad.abs().sum() > 0)) == learns


@pytest.mark.parametrize("mask_from", ["text", "text+box", "box", "branch"])
def test_global_local_attention_fuses_its_branches(
    segmenter: Segmenter, positions: torch.Tensor, mask_from: str
) -> None:
    torch.manual_seed(2)
    attention = GlobalLocalAttention(BoxDecoder(CONFIG, "edge", True), 16, mask_from)
    embedding, features = torch.randn(3, 16), torch.randn(3, 16, 8, 8)
    decoded = attention(embedding, torch.zeros(3, 0, 16), features, positions, segmenter)
    assert decoded.gate is not None
    torch.testing.assert_close(decoded.gate, torch.full((3,), 0.5))
    middle = (decoded.branches["local"].xyxy + decoded.branches["global"].xyxy) / 2
    torch.testing.assert_close(decoded.boxes.xyxy, middle)
    assert decoded.global_mask is not None
    assert decoded.global_mask.shape == (3, 32, 32)


def test_a_detached_local_box_gets_no_gradient_from_the_answer(segmenter: Segmenter, positions: torch.Tensor) -> None:
    for detach in (False, True):
        attention = GlobalLocalAttention(BoxDecoder(CONFIG), 16, "box", detach_local=detach)
        decoded = attention(torch.randn(2, 16), torch.zeros(2, 0, 16), torch.randn(2, 16, 8, 8), positions, segmenter)
        decoded.boxes.xyxy.sum().backward()
        gradients = [p.grad for p in attention.local_prompt.parameters()]
        assert all(g is None for g in gradients) == detach


def test_the_gate_stays_between_zero_and_one() -> None:
    gate = Gate(16, "phrase")
    with torch.no_grad():
        gate.bias.fill_(3.0)
        assert gate.by_phrase is not None
        gate.by_phrase.weight.normal_()
        values = gate(torch.randn(50, 16))
    assert ((values > 0) & (values < 1)).all()
    assert values.std() > 0


def test_plain_attention_prompts_with_the_token_and_the_knowledge(
    segmenter: Segmenter, positions: torch.Tensor
) -> None:
    torch.manual_seed(3)
    decoder = BoxDecoder(CONFIG)
    features, embedding = torch.randn(2, 16, 8, 8), torch.randn(2, 16)
    decoded = PlainAttention(decoder)(embedding, torch.zeros(2, 0, 16), features, positions, segmenter)
    wanted = decoder(features + segmenter.no_mask, positions, embedding.unsqueeze(1))
    torch.testing.assert_close(decoded.boxes.xyxy, wanted.xyxy)


def test_masks_of_a_batch_are_those_of_single_images(segmenter: Segmenter, positions: torch.Tensor) -> None:
    features, prompts = torch.randn(3, 16, 8, 8), torch.randn(3, 2, 16)
    together, quality = decode_masks(segmenter.mask_decoder, features, positions, prompts, segmenter.no_mask)
    alone, _ = decode_masks(segmenter.mask_decoder, features[1:2], positions, prompts[1:2], segmenter.no_mask)
    torch.testing.assert_close(together[1], alone[0], atol=1e-5, rtol=1e-5)
    assert quality.shape == (3,)


def test_the_extent_of_a_mask() -> None:
    logits = torch.full((2, 8, 8), -5.0)
    logits[0, 2:5, 3:7] = 5.0
    logits[1, 6, 1] = -1.0  # nothing positive: the highest cell
    torch.testing.assert_close(
        soft_extent(logits), torch.tensor([[3 / 8, 2 / 8, 7 / 8, 5 / 8], [1 / 8, 6 / 8, 2 / 8, 7 / 8]])
    )
