"""KnowMVG on LLaVA and SAM of the real classes, at any size, with random weights that are drawn where they are used.

Nothing is read from a hub or a disk. ``full`` has the sizes of LLaVA-1.5-7B (LLaMA 7B, CLIP ViT-L/14 at 336 pixels)
and SAM ViT-H. ``proportional`` has the same ratios: every width is an eighth, every depth of a transformer a quarter
and the canvas half of it, the 576 image tokens are LLaVA's; SAM's decoder keeps both its layers, so that what KnowMVG
adds weighs more than at full size. ``smallest`` is for a test.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SamVisionConfig
from transformers.models.llava.modeling_llava import LlavaModel
from transformers.models.sam.modeling_sam import SamVisionEncoder

from knowmvg.grounders.prompted.model import PromptedModel
from knowmvg.grounders.prompted.variants import ModelConfig, Variant, build_model, build_segmenter
from knowmvg.nn.backbones.backbone import Backbone
from knowmvg.nn.backbones.lora import add_lora
from knowmvg.nn.image_encoder import ImageEncoderConfig
from knowmvg.nn.prompt_encoder import PromptConfig
from knowmvg.nn.sam_image_encoder import SamImageEncoder


@dataclass(frozen=True, slots=True)
class Size:
    """Widths, layers and heads of language model, its vision tower and SAM; ``channels`` is SAM's decoder width."""

    language: tuple[int, int, int]
    vocabulary: int
    tower: tuple[int, int, int]
    picture: int
    sam: tuple[int, int, int]
    canvas: int
    channels: int
    nodes: int

    @property
    def image_length(self) -> int:
        """Image tokens of a picture, 14 pixels a side each."""
        return (self.picture // 14) ** 2


SIZES = {
    "full": Size((4096, 32, 32), 32064, (1024, 24, 16), 336, (1280, 32, 16), 1024, 256, 500),
    "proportional": Size((512, 8, 8), 4008, (128, 6, 4), 336, (160, 8, 4), 512, 32, 500),
    "smallest": Size((64, 2, 2), 200, (32, 2, 2), 56, (32, 2, 2), 64, 16, 20),
}
IMAGE, BOX = 3, 4  # ids of the image token and of <BOX>


class _OwnReading(Backbone):
    """A LLaVA of a transformers without ``mm_encoder_outputs``: image tokens are put in by hand, to the same states."""

    def look(self, pictures: Any) -> Tensor:
        with torch.no_grad():
            seen = self.model.model.vision_tower(pictures["pixel_values"], output_hidden_states=True)
            tokens: Tensor = self.model.model.multi_modal_projector(seen.hidden_states[-2][:, 1:])
        return tokens

    def read(
        self, input_ids: Tensor, attention_mask: Tensor | None, features: Tensor | None, *,
        positions: Tensor | None = None, cache: Any = None,
    ) -> Tensor:  # fmt: skip
        embedded = self.model.get_input_embeddings()(input_ids)
        if features is not None:
            where = (input_ids == self.image_token_id).unsqueeze(-1)
            embedded = embedded.masked_scatter(where, features.to(embedded.dtype))
        out = self.decoder(
            inputs_embeds=embedded, attention_mask=attention_mask, position_ids=positions,
            use_cache=cache is not None, past_key_values=cache,
        )  # fmt: skip
        return out.last_hidden_state.float()


@contextmanager
def _drawn_on(device: torch.device, dtype: torch.dtype) -> Any:
    """Parameters are made on a device and in a precision from the start: two copies of 7 billion need not fit."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def build_backbone(size: Size, device: torch.device, dtype: torch.dtype, checkpointing: bool = False) -> Backbone:
    """A LLaVA with LoRA (r = 8 on q and v) and rows of ``<BOX>``."""
    width, layers, heads = size.language
    tower, deep, eyes = size.tower
    text = LlamaConfig(
        vocab_size=size.vocabulary, hidden_size=width, intermediate_size=round(width * 2.6875),
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads,
        max_position_embeddings=4096, tie_word_embeddings=False,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=tower, intermediate_size=4 * tower, num_hidden_layers=deep, num_attention_heads=eyes,
        image_size=size.picture, patch_size=14, projection_dim=tower,
    )  # fmt: skip
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=IMAGE, tie_word_embeddings=False)
    with _drawn_on(device, dtype):
        model = LlavaForConditionalGeneration(config).to(dtype).eval()
    ready = "mm_encoder_outputs" in inspect.signature(LlavaModel.forward).parameters
    backbone = (Backbone if ready else _OwnReading)(model, size.image_length, image_token_id=IMAGE)
    add_lora(model, backbone.decoder, r=8, alpha=16, dropout=0.05)
    backbone.own_rows([BOX], [5])
    if checkpointing:
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    return backbone.to(device)


def build_sam(size: Size, device: torch.device, dtype: torch.dtype) -> SamImageEncoder:
    """SAM's image encoder, a quarter of its layers with global attention."""
    width, layers, heads = size.sam
    config = SamVisionConfig(
        hidden_size=width, output_channels=size.channels, num_hidden_layers=layers, num_attention_heads=heads,
        image_size=size.canvas, patch_size=16, window_size=14 if size.canvas > 64 else 2, mlp_dim=4 * width,
        global_attn_indexes=[layer for layer in range(layers) if layer % (layers // min(4, layers)) == layers // 4 - 1],
        num_pos_feats=size.channels // 2,
    )  # fmt: skip
    with _drawn_on(device, dtype):
        encoder = SamVisionEncoder(config).to(dtype)
    return SamImageEncoder(encoder)


def build(size: Size, variant: Variant, backbone: Backbone, sam: SamImageEncoder) -> PromptedModel:
    """A grounder on these parts, which models of several variants share; its decoders are single precision."""
    torch.manual_seed(0)
    heads = max(2, size.channels // 32)
    prompts = PromptConfig(size.channels, size.canvas, size.canvas // 16, 8 * size.channels, heads=heads)
    config = ModelConfig(None, ImageEncoderConfig(canvas=size.canvas, channels=size.channels), prompts, variant)
    links = (torch.rand(size.nodes, size.nodes) < 0.02).float()
    links = ((links + links.T + torch.eye(size.nodes)) > 0).float()
    degree = links.sum(dim=1).rsqrt()
    adjacency = degree[:, None] * links * degree[None]
    nodes = torch.randn(size.nodes, 768)
    model = build_model(config, nodes, adjacency, sam, build_segmenter(prompts), backbone)
    return model.to(backbone.model.device).eval()
