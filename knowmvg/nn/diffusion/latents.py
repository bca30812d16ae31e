"""Radiographs as the latents of a diffusion model: by the VAE of Stable Diffusion, or exactly, by pixel unshuffle.

Both give a distribution, from which the reference draws anew at every step: a VAE's posterior, or a single point.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from knowmvg.core.errors import ModelError

CONFIG = "config.json"
UNSHUFFLED = "PixelUnshuffle"


class Latents(Protocol):
    """Canvases ``[B, 1, side, side]`` in ``[0, 1]`` to latents ``[B, *shape]`` of about unit variance, and back."""

    side: int
    shape: tuple[int, int, int]

    def moments(self, canvases: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[B, *shape]`` of the latents' distribution; the deviation may be all 0."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``[B, *shape]`` as canvases ``[B, 1, side, side]`` in ``[0, 1]``."""
        ...

    def to(self, device: torch.device | str) -> Latents:
        """These latents with what they hold on a device."""
        ...

    def save(self, folder: Path) -> None:
        """Write them as the ``vae`` folder of a diffusers layout."""
        ...


class VaeLatents(nn.Module):
    """The latents of an ``AutoencoderKL``, shifted and scaled as its configuration says (0.18215 in Stable Diffusion).

    Args:
        vae: the autoencoder of diffusers, frozen; a radiograph's grey goes into each of its channels, in ``[-1, 1]``.
        cells: height and width of the latents, the UNet's ``sample_size``.
    """

    def __init__(self, vae: Any, cells: int) -> None:
        super().__init__()
        self.vae = vae.requires_grad_(False).eval()
        self.side = cells * 2 ** (len(vae.config.block_out_channels) - 1)
        self.shape = (int(vae.config.latent_channels), cells, cells)
        self._shift = float(vae.config.shift_factor or 0.0)
        self._scale = float(vae.config.scaling_factor)

    @torch.no_grad()
    def moments(self, canvases: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the posterior (``Latents.moments``)."""
        colours = canvases.expand(-1, int(self.vae.config.in_channels), -1, -1) * 2 - 1
        posterior = self.vae.encode(colours).latent_dist
        return (posterior.mean - self._shift) * self._scale, posterior.std * self._scale

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """The mean of the colours that the decoder draws (``Latents.decode``)."""
        drawn: Tensor = self.vae.decode(latents / self._scale + self._shift).sample
        return (drawn.mean(dim=1, keepdim=True) / 2 + 0.5).clamp(0, 1)

    def save(self, folder: Path) -> None:
        """Write the autoencoder as diffusers does."""
        self.vae.save_pretrained(folder, safe_serialization=True)


class UnshuffledLatents(nn.Module):
    """Pixels of ``block x block`` squares as channels, standardised a channel: exact, with nothing to train.

    Args:
        cells: height and width of the latents.
        mean: of each of the ``block ** 2`` channels over training canvases.
        std: of each of them.

    Raises:
        ValueError: channels that are no square, of unequal number, or a deviation that is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, cells: int, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.block = round(len(mean) ** 0.5)
        if self.block < 1 or self.block**2 != len(mean) or len(std) != len(mean) or min(std) <= 0 or cells < 1:
            raise ValueError(f"expected block^2 means and positive deviations, got {len(mean)} and {len(std)}")
        self.side = cells * self.block
        self.shape = (len(mean), cells, cells)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    @classmethod
    def fit(cls, canvases: Tensor, block: int) -> UnshuffledLatents:
        """Standardised on canvases ``[B, 1, S, S]``; ``S`` is a multiple of ``block``."""
        cut = functional.pixel_unshuffle(canvases.double(), block)
        std = cut.std(dim=(0, 2, 3)).clamp_min(1e-3)
        return cls(canvases.shape[-1] // block, cut.mean(dim=(0, 2, 3)).tolist(), std.tolist())

    def moments(self, canvases: Tensor) -> tuple[Tensor, Tensor]:
        """The latents and zeros (``Latents.moments``)."""
        mean = (functional.pixel_unshuffle(canvases, self.block) - self.mean) / self.std
        return mean, torch.zeros_like(mean)

    def decode(self, latents: Tensor) -> Tensor:
        """The pixels that the latents stand for, cut to ``[0, 1]`` (``Latents.decode``)."""
        return functional.pixel_shuffle(latents * self.std + self.mean, self.block).clamp(0, 1)

    def save(self, folder: Path) -> None:
        """Write ``config.json`` alone."""
        folder.mkdir(parents=True, exist_ok=True)
        told = {"cells": self.shape[1], "mean": self.mean.flatten().tolist(), "std": self.std.flatten().tolist()}
        (folder / CONFIG).write_text(json.dumps({"_class_name": UNSHUFFLED} | told, indent=2) + "\n", encoding="utf-8")


def load_latents(folder: Path, cells: int) -> Latents:
    """The latents in a ``vae`` folder, for a UNet with ``cells`` cells a side.

    Raises:
        ModelError: weights that are missing, or latents of another size than the UNet's.
        Exception: what diffusers, safetensors and json raise for damaged files; ``load_parts`` explains it.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("_class_name") == UNSHUFFLED:
        found = UnshuffledLatents(config["cells"], config["mean"], config["std"])
        if found.shape[1] != cells:
            raise ModelError(f"latents of {cells} cells", f"{found.shape[1]}", "Take a vae folder made for the UNet.")
        return found
    from diffusers import AutoencoderKL

    vae, told = AutoencoderKL.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, torch_dtype=torch.float32, output_loading_info=True
    )
    if missing := sorted(told["missing_keys"]):
        got = f"{len(missing)} missing, the first {missing[0]}"
        raise ModelError(f"all weights in {folder}", got, "Copy the model again, or name another one.")
    return VaeLatents(vae, cells)
