"""SAM-HQ's inner SAM, LISA's composition, and the canvas: what upstream draws from the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import SamHQConfig, SamHQMaskDecoderConfig, SamHQModel, SamHQPromptEncoderConfig, SamHQVisionConfig
from transformers.utils import logging

from knowmvg.core.records import Radiograph
from knowmvg.grounders.canvas import on_canvas
from knowmvg.grounders.segmenters.load import load_sam
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.nn.box_decoder import BoxDecoder
from knowmvg.nn.global_local_attention import PlainAttention
from knowmvg.nn.mask_decoder import MaskToBox, decode_masks, soft_extent
from knowmvg.nn.prompt_encoder import image_positions
from knowmvg.nn.sam_image_encoder import DEVIATION, MEAN
from tests.segmenters.tiny_sam import SIDE, tiny_sam


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Any:
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


@pytest.fixture(scope="module")
def hq(tmp_path_factory: pytest.TempPathFactory) -> tuple[SamHQModel, Path]:
    """A tiny SAM-HQ of the real class with random weights, and its folder."""
    vision = SamHQVisionConfig(
        hidden_size=16, output_channels=32, num_hidden_layers=3, num_attention_heads=2, image_size=SIDE, patch_size=8,
        window_size=3, global_attn_indexes=[1], num_pos_feats=16, mlp_dim=24,
    )  # fmt: skip
    prompt = SamHQPromptEncoderConfig(hidden_size=32, image_size=SIDE, patch_size=8)
    decoder = SamHQMaskDecoderConfig(
        hidden_size=32, mlp_dim=40, num_attention_heads=8, iou_head_hidden_dim=32, vit_dim=16
    )
    torch.manual_seed(6)
    model = SamHQModel(
        SamHQConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    ).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "positional_embedding" not in name:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    folder = tmp_path_factory.mktemp("sam") / "hq"
    model.save_pretrained(folder)
    return model, folder


def test_of_a_sam_hq_the_sam_inside_it_draws(hq: tuple[SamHQModel, Path]) -> None:
    whole, folder = hq
    upstream = tiny_sam()  # of the same sizes, and given SAM-HQ's tensors of SAM's names
    tensors = whole.state_dict()
    upstream.load_state_dict({name: tensors[name] for name in upstream.state_dict()})
    sam = load_sam(SamPart(id=str(folder)))
    canvases = torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    pixels = (canvases.expand(-1, 3, -1, -1) - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)
    boxes = torch.tensor([[8.0, 8, 40, 56], [20, 4, 60, 30]])
    with torch.no_grad():
        wanted = upstream(pixel_values=pixels, input_boxes=boxes[:, None], multimask_output=False)
        encoder = sam.segmenter.prompt_encoder
        sparse, _ = encoder(None, None, boxes[:, None], None)
        drawn, quality = decode_masks(
            sam.segmenter.mask_decoder,
            sam.encoder(canvases),
            image_positions(encoder),
            sparse[:, 0],
            sam.segmenter.no_mask.expand(-1, -1, 8, 8),
        )
        theirs = whole.vision_encoder(pixels).last_hidden_state
    torch.testing.assert_close(sam.encoder(canvases), theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(drawn, wanted.pred_masks[:, 0, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(quality, wanted.iou_scores[:, 0, 0], atol=1e-5, rtol=1e-5)
    assert not any(p.requires_grad for p in [*sam.encoder.parameters(), *sam.segmenter.parameters()])
    decoder = BoxDecoder(sam.prompts, "token")
    decoder.start_from(sam.segmenter.mask_decoder)
    began = decoder.transformer.state_dict()
    assert all(torch.equal(v, began[k]) for k, v in whole.mask_decoder.transformer.state_dict().items())


def test_lisa_is_upstream_sam_fed_the_same_token(tmp_path: Path) -> None:
    upstream = tiny_sam()
    upstream.save_pretrained(tmp_path / "sam")
    sam = load_sam(SamPart(id=str(tmp_path / "sam")))
    token, features = torch.randn(3, 32), torch.randn(3, 32, 8, 8)
    positions = image_positions(sam.segmenter.prompt_encoder)
    lisa = PlainAttention(MaskToBox(sam.segmenter.mask_decoder))
    with torch.no_grad():
        found = lisa(token, torch.zeros(3, 0, 32), features, positions, sam.segmenter).boxes
        wanted, quality = upstream.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=upstream.get_image_wide_positional_embeddings().expand(3, -1, -1, -1),
            sparse_prompt_embeddings=token[:, None, None],
            dense_prompt_embeddings=upstream.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1),
            multimask_output=False,
        )
    assert found.mask is not None
    torch.testing.assert_close(found.mask, wanted[:, 0, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.score, quality[:, 0, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.xyxy, soft_extent(wanted[:, 0, 0]))


@pytest.mark.parametrize(("width", "height"), [(300, 300), (300, 200), (90, 400), (1500, 1000)])
def test_only_the_margin_of_the_shorter_side_is_empty(width: int, height: int) -> None:
    ramp = np.linspace(0.2, 1, width * height, dtype=np.float32).reshape(height, width)
    canvas, frame = on_canvas(Radiograph(ramp), 1024)
    inside = frame.to_canvas(np.array([[0.0, 0, width, height]]))[0]
    assert max(inside[2] - inside[0], inside[3] - inside[1]) == pytest.approx(1024)  # the longer side fills the field
    shares = (inside[2] - inside[0]) * (inside[3] - inside[1]) / 1024**2
    assert shares == pytest.approx(min(width, height) / max(width, height))
    x1, y1, x2, y2 = inside.round().astype(int)
    outside = np.ones_like(canvas, dtype=bool)
    outside[y1:y2, x1:x2] = False
    assert canvas[outside].max(initial=0) < 1e-6
    np.testing.assert_allclose(frame.to_stored(inside[None])[0], [0, 0, width, height], atol=1e-6)
