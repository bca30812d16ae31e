"""SAM's prompt encoder and mask decoder, taken from transformers at any size; never vendored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPromptEncoder, SamTwoWayTransformer


@dataclass(frozen=True, slots=True)
class PromptConfig:
    """Sizes of SAM's prompt encoder and decoders.

    Args:
        channels: width of image features and prompt tokens.
        canvas: side of the canvas in pixels, the frame of every point and box prompt.
        grid: cells a side of the feature map.
        mlp: hidden width of the two-way transformer's MLP.
        layers: two-way attention blocks.
        heads: attention heads.
    """

    channels: int = 64
    canvas: int = 256
    grid: int = 32
    mlp: int = 128
    layers: int = 2
    heads: int = 2

    @property
    def mask(self) -> int:
        """Side of the decoder's mask logits and of the prompt encoder's mask input."""
        return 4 * self.grid


def _decoder_config(config: PromptConfig) -> Any:
    decoder = SamMaskDecoderConfig(
        hidden_size=config.channels,
        mlp_dim=config.mlp,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        iou_head_hidden_dim=config.channels,
    )
    decoder._attn_implementation = "sdpa"
    return decoder


def build_prompt_encoder(config: PromptConfig) -> Any:
    """A ``SamPromptEncoder`` whose point and box prompts are canvas pixels."""
    vision = SamVisionConfig(num_pos_feats=config.channels // 2, output_channels=config.channels)
    vision.scale = 1.0  # SAM's own; transformers' default (384) makes frequencies that no coordinate can be read from
    prompt = SamPromptEncoderConfig(
        hidden_size=config.channels, image_size=config.canvas, patch_size=config.canvas // config.grid
    )
    return SamPromptEncoder(
        SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=_decoder_config(config))
    )


def build_mask_decoder(config: PromptConfig) -> Any:
    """A ``SamMaskDecoder``: features, sparse and dense prompts to mask logits ``[B, P, M, 4 grid, 4 grid]``."""
    return SamMaskDecoder(_decoder_config(config))


def build_two_way_transformer(config: PromptConfig) -> Any:
    """A ``SamTwoWayTransformer``, the part of the mask decoder that the box decoder shares."""
    return SamTwoWayTransformer(_decoder_config(config))


def image_positions(prompt_encoder: Any) -> Tensor:
    """SAM's positional encoding of every cell of the feature grid, ``[1, channels, grid, grid]``."""
    rows, columns = prompt_encoder.image_embedding_size
    weight = prompt_encoder.shared_embedding.positional_embedding
    y = (torch.arange(rows, device=weight.device, dtype=weight.dtype) + 0.5) / rows
    x = (torch.arange(columns, device=weight.device, dtype=weight.dtype) + 0.5) / columns
    grid = torch.stack([x[None].expand(rows, columns), y[:, None].expand(rows, columns)], dim=-1)
    encoded: Tensor = prompt_encoder.shared_embedding(grid[None])
    return encoded.permute(0, 3, 1, 2)
