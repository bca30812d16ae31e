"""A small AutoencoderKL of radiographs, trained by reconstruction, its latent channels standardised at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

from knowmvg.training.diffusion.canvases import Bytes, as_tensor
from knowmvg.training.diffusion.recipe import AutoencoderPart


def small_autoencoder(part: AutoencoderPart, side: int) -> AutoencoderKL:
    """An AutoencoderKL of a recipe's size for grey images, with random weights and without attention."""
    levels = len(part.widths)
    return AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=part.widths,
        layers_per_block=part.layers,
        latent_channels=part.channels,
        norm_num_groups=8,
        sample_size=side,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


class AutoencoderTask(nn.Module):
    """An autoencoder with its loss terms: absolute error of the image, and divergence of the latent from a normal one.

    Both are means over their elements. There is no perceptual and no adversarial term: what is decoded is never looked
    at in grounding, and the latent has to hold the radiograph (docs/deviations.md).
    """

    def __init__(self, autoencoder: AutoencoderKL) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    @staticmethod
    def collate(batches: Sequence[Tensor]) -> dict[str, Tensor]:
        """Batches as one."""
        return {"images": torch.cat(list(batches))}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Named loss terms of canvases ``[B, 1, S, S]`` in ``[0, 1]``."""
        images = images * 2 - 1
        posterior = self.autoencoder.encode(images).latent_dist
        again = self.autoencoder.decode(posterior.mean + posterior.std * torch.randn_like(posterior.mean)).sample
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar)
        return {"image": functional.l1_loss(again, images), "kl": divergence.mean()}


@torch.no_grad()
def standardise(autoencoder: AutoencoderKL, canvases: Bytes, batch: int = 64) -> None:
    """Give every latent channel mean 0 and deviation 1 over canvases, inside the 1 x 1 convolutions about the latent.

    What the whole autoencoder computes stays the same, and the latent needs no scaling factor.
    """
    means = [autoencoder.encode(images).latent_dist.mean for images in _batches(autoencoder, canvases, batch)]
    channels = torch.cat(means).transpose(0, 1).flatten(1)
    mean, deviation = channels.mean(dim=1), channels.std(dim=1).clamp_min(1e-6)
    into, out_of = autoencoder.quant_conv, autoencoder.post_quant_conv
    count = len(mean)
    into.weight[:count] /= deviation[:, None, None, None]
    into.bias[:count] = (into.bias[:count] - mean) / deviation
    into.bias[count:] -= 2 * deviation.log()  # the logarithm of the variance
    out_of.bias += out_of.weight[:, :, 0, 0] @ mean
    out_of.weight *= deviation[None, :, None, None]


@torch.inference_mode()
def reconstruction(autoencoder: AutoencoderKL, canvases: Bytes, batch: int = 64) -> dict[str, float]:
    """Mean absolute error and peak signal-to-noise ratio (dB, over ``[0, 1]``) of canvases decoded from their mean."""
    absolute, squared, seen = 0.0, 0.0, 0
    for images in _batches(autoencoder, canvases, batch):
        error = (autoencoder.decode(autoencoder.encode(images).latent_dist.mean).sample - images) / 2
        absolute += float(error.abs().sum())
        squared += float(error.square().sum())
        seen += error.numel()
    return {"error": absolute / seen, "psnr": float(-10 * np.log10(max(squared / seen, 1e-12)))}


def _batches(autoencoder: AutoencoderKL, canvases: Bytes, batch: int) -> Iterator[Tensor]:
    """Canvases in ``[-1, 1]`` where the autoencoder is."""
    device = next(autoencoder.parameters()).device
    for start in range(0, len(canvases), batch):
        yield as_tensor(canvases[start : start + batch]).to(device) * 2 - 1
