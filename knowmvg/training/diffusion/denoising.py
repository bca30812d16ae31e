"""The training of the UNet: what is drawn, noise on it, what of it is predicted, and how that is validated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.training.diffusion.captions import EMPTY, CaptionDraw, Captioned
from knowmvg.training.diffusion.ema import RunningMean
from knowmvg.training.diffusion.latents import LatentCache
from knowmvg.training.diffusion.noise import draw_times, loss_weights
from knowmvg.training.diffusion.recipe import NoisePart


@dataclass(frozen=True, slots=True)
class Drawn:
    """A batch before it is read: latents ``[B, C, h, w]``, noise alike, timesteps ``[B]``, captions."""

    latents: Tensor
    noise: Tensor
    times: Tensor
    captions: list[str]


class DrawnLatents(Dataset[Drawn]):
    """``length`` batches of studies, as (id, texts); every study is drawn once before any is drawn again.

    Batch ``i``, its latents, noise, timesteps and captions included, depends on the seed and ``i`` alone, whatever the
    device and wherever a run was broken off.
    """

    def __init__(
        self,
        studies: Sequence[tuple[str, Captioned]],
        cache: LatentCache,
        caption: CaptionDraw,
        noise: NoisePart,
        seed: int,
        length: int,
        batch: int,
    ) -> None:
        self.studies, self.cache, self.caption, self.noise = studies, cache, caption, noise
        self.seed, self.length, self.batch = seed, length, batch
        self._shuffled: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Drawn:
        rng = np.random.default_rng([self.seed, 9, index])
        chosen = [self.studies[self._study(index * self.batch + k)] for k in range(self.batch)]
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        latents = self.cache.sample([name for name, _ in chosen], generator)
        return Drawn(
            latents,
            torch.randn(latents.shape, generator=generator),
            draw_times(self.noise, self.batch, generator),
            self.caption([texts for _, texts in chosen], rng),
        )

    def _study(self, draw: int) -> int:
        turn, place = divmod(draw, len(self.studies))
        if self._shuffled[0] != turn:
            self._shuffled = (turn, np.random.default_rng([self.seed, 10, turn]).permutation(len(self.studies)))
        return int(self._shuffled[1][place])


class DenoisingTask(nn.Module):
    """A UNet with its loss and the running mean of what is trained of it; the other parts stay beside it, frozen.

    The state of the task, hence a checkpoint, holds the trained weights and their mean; of what is frozen in the UNet
    (under adapters) it holds nothing.

    Args:
        parts: a diffusion model; those weights of its UNet are trained that take a gradient.
        noise: the recipe's noise.
        decay: of the running mean.
    """

    def __init__(self, parts: DiffusionParts, noise: NoisePart, decay: float) -> None:
        super().__init__()
        self.unet: nn.Module = parts.unet
        self.mean = RunningMean((p for p in parts.unet.parameters() if p.requires_grad), decay)
        self.register_buffer("alphas", parts.scheduler.alphas_cumprod.clone(), persistent=False)
        self.alphas: Tensor
        self._beside = (parts, noise)
        self.register_state_dict_post_hook(_without_frozen)
        self.register_load_state_dict_post_hook(_frozen_are_not_missing)

    @staticmethod
    def collate(batches: Sequence[Drawn]) -> dict[str, Any]:
        """Drawn batches as one."""
        return {
            "latents": torch.cat([batch.latents for batch in batches]),
            "noise": torch.cat([batch.noise for batch in batches]),
            "times": torch.cat([batch.times for batch in batches]),
            "captions": [caption for batch in batches for caption in batch.captions],
        }

    def forward(self, latents: Tensor, noise: Tensor, times: Tensor, captions: list[str]) -> dict[str, Tensor]:
        """The loss term ``denoising``: the weighted mean of ``errors``."""
        weights = loss_weights(self._beside[1], self.alphas, times)
        return {"denoising": (weights * self.errors(latents, noise, times, captions)).mean()}

    def errors(self, latents: Tensor, noise: Tensor, times: Tensor, captions: list[str]) -> Tensor:
        """Mean squared error ``[B]`` of the predicted noise, or velocity ``sqrt(a) noise - sqrt(1 - a) latent``."""
        parts, part = self._beside
        conditions = parts.encode(captions)
        kept, lost = (share.sqrt()[:, None, None, None] for share in (self.alphas[times], 1 - self.alphas[times]))
        target = noise if part.prediction == "epsilon" else kept * noise - lost * latents
        noisy = kept * latents + lost * noise
        mask = parts.attention_mask(conditions)
        predicted = self.unet(noisy, times, conditions.states, encoder_attention_mask=mask).sample
        error: Tensor = (predicted.float() - target).square().mean(dim=(1, 2, 3))
        return error


def _without_frozen(task: nn.Module, state: dict[str, Tensor], prefix: str, metadata: Any) -> None:
    for name, parameter in task.named_parameters():
        if not parameter.requires_grad:
            state.pop(prefix + name, None)


def _frozen_are_not_missing(task: nn.Module, keys: Any) -> None:
    frozen = {name for name, parameter in task.named_parameters() if not parameter.requires_grad}
    keys.missing_keys[:] = [name for name in keys.missing_keys if name not in frozen]


@torch.no_grad()
def validate(task: DenoisingTask, batches: Sequence[Drawn]) -> dict[str, float]:
    """How well the running mean denoises held-out latents, and what the caption is worth to it; no box is read.

    ``loss`` is the unweighted error with the right captions, ``shuffled`` and ``empty`` those with the captions of
    another study and without any, over the same noise; ``worth`` = shuffled / loss - 1. ``fit`` is minus the loss, so
    that the best checkpoint is the one with the highest.
    """
    device = task.alphas.device
    sums = dict.fromkeys(("loss", "shuffled", "empty"), 0.0)
    with task.mean.in_place():
        for batch in batches:
            latents, noise, times = (value.to(device) for value in (batch.latents, batch.noise, batch.times))
            turned = batch.captions[1:] + batch.captions[:1]
            for name, captions in (("loss", batch.captions), ("shuffled", turned), ("empty", [EMPTY] * len(turned))):
                sums[name] += float(task.errors(latents, noise, times, captions).mean()) / len(batches)
    return sums | {"worth": sums["shuffled"] / sums["loss"] - 1, "fit": -sums["loss"]}
