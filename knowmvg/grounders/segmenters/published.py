"""The ``.pth`` files of SAM and MedSAM: names and sizes of segment-anything (dca509f) as those of transformers.

The sizes of a model are read off its tensors, so that ViT-B, L and H, and any other size, need no name. The names
were held against the converter of transformers; no published file was at hand to load.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor
from transformers import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig

_RENAMED = (
    (r"^image_encoder\.", "vision_encoder."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"\.blocks\.", ".layers."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"neck\.0\.", "neck.conv1."),
    (r"neck\.1\.", "neck.layer_norm1."),
    (r"neck\.2\.", "neck.conv2."),
    (r"neck\.3\.", "neck.layer_norm2."),
    (r"pe_layer\.positional_encoding_gaussian_matrix$", "shared_embedding.positional_embedding"),
    (r"point_embeddings\.", "point_embed."),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"((?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.0\.", r"\1.proj_in."),
    (r"((?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.1\.", r"\1.layers.0."),
    (r"((?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.2\.", r"\1.proj_out."),
)
_POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"


def is_published(tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors have the names of segment-anything."""
    return "image_encoder.pos_embed" in tensors


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of ``transformers.SamModel``."""
    found = {}
    for name, tensor in tensors.items():
        if name in ("pixel_mean", "pixel_std"):
            continue
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    found["shared_image_embedding.positional_embedding"] = found[_POSITIONS]
    return found


def sizes(tensors: Mapping[str, Tensor]) -> SamConfig:
    """The configuration that tensors under the published names were made with. Raises ``KeyError`` if one lacks."""
    embedded, positions = tensors["image_encoder.patch_embed.proj.weight"], tensors["image_encoder.pos_embed"]
    width, patch, grid = embedded.shape[0], embedded.shape[-1], positions.shape[1]
    layers = _count(tensors, r"image_encoder\.blocks\.(\d+)\.")
    reach = [tensors[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape for i in range(layers)]
    whole = [i for i, shape in enumerate(reach) if shape[0] == 2 * grid - 1]
    windows = {(shape[0] + 1) // 2 for i, shape in enumerate(reach) if i not in whole}
    channels = tensors["mask_decoder.iou_token.weight"].shape[1]
    vision = SamVisionConfig(
        hidden_size=width,
        output_channels=channels,
        num_hidden_layers=layers,
        num_attention_heads=width // reach[0][1],
        image_size=grid * patch,
        patch_size=patch,
        window_size=windows.pop() if windows else 0,
        global_attn_indexes=whole,
        num_pos_feats=channels // 2,
        mlp_dim=tensors["image_encoder.blocks.0.mlp.lin1.weight"].shape[0],
    )
    prompt = SamPromptEncoderConfig(hidden_size=channels, image_size=grid * patch, patch_size=patch)
    decoder = SamMaskDecoderConfig(
        hidden_size=channels,
        mlp_dim=tensors["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
        num_hidden_layers=_count(tensors, r"mask_decoder\.transformer\.layers\.(\d+)\."),
        num_attention_heads=8,  # fixed in segment-anything, and not to be read off a tensor
        iou_head_hidden_dim=tensors["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
    )
    return SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    return 1 + max(int(match[1]) for name in tensors if (match := re.match(pattern, name)))
