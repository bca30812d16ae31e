"""The UNet that is trained: a small one from random weights, a published one whole, or adapters on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import UNet2DConditionModel

from knowmvg.core.errors import RecipeError
from knowmvg.training.diffusion.recipe import LoraPart, UnetPart


def small_unet(part: UnetPart, cells: int, channels: int, text_width: int) -> UNet2DConditionModel:
    """A UNet of a recipe's size with random weights, for latents ``[channels, cells, cells]``."""
    kinds = [("CrossAttn" if attends else "") for attends in part.attention]
    return UNet2DConditionModel(
        sample_size=cells,
        in_channels=channels,
        out_channels=channels,
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
        mid_block_type="UNetMidBlock2DCrossAttn" if part.middle else "UNetMidBlock2D",
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        block_out_channels=part.widths,
        layers_per_block=part.layers,
        norm_num_groups=16,
        cross_attention_dim=text_width,
        attention_head_dim=part.heads,  # the number of heads, whatever diffusers calls it (its issue 2011)
    )


def add_adapters(unet: Any, part: LoraPart) -> None:
    """Put the recipe's adapters on a UNet; they alone are trained.

    Raises ``RecipeError`` for targets that none of its layers is named after.
    """
    from peft import LoraConfig

    unet.requires_grad_(False)
    settings = LoraConfig(
        r=part.rank, lora_alpha=part.alpha, lora_dropout=part.dropout, target_modules=list(part.targets)
    )
    try:
        unet.add_adapter(settings)
    except ValueError as error:
        todo = "Name ends of layer names, such as to_q or to_out.0."
        raise RecipeError("lora.targets that the UNet has", ", ".join(part.targets), todo) from error


def merge_adapters(unet: Any, folder: Path) -> None:
    """Write the adapters to ``folder`` as diffusers does and make them a part of the UNet's own weights."""
    unet.save_lora_adapter(folder, safe_serialization=True)
    unet.fuse_lora()
    unet.unload_lora()
