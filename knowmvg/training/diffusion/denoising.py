"""The training of the UNet: drawn batches of latents and captions, noise on them, and what of it is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.data import Dataset

from knowmvg.training.diffusion.captions import CaptionDraw, Captioned
from knowmvg.training.diffusion.ema import RunningMean
from knowmvg.training.diffusion.latents import LatentCache
from knowmvg.training.diffusion.noise import draw_times, loss_weights
from knowmvg.training.diffusion.recipe import NoisePart, TextPart


@dataclass(frozen=True, slots=True)
class Drawn:
    """A batch before it is read: latents ``[B, C, h, w]``, noise alike, timesteps ``[B]``, captions."""

    latents: Tensor
    noise: Tensor
    times: Tensor
    captions: list[str]


class DrawnLatents(Dataset[Drawn]):
    """``length`` batches of studies; every study is drawn once before any is drawn again.

    Batch ``i``, its noise, timesteps and captions included, depends on the seed and ``i`` alone, whatever the device
    and wherever a run was broken off.
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
        return int(self._order(turn)[place])

    def _order(self, turn: int) -> Any:
        if getattr(self, "_kept", (-1, None))[0] != turn:
            self._kept = (turn, np.random.default_rng([self.seed, 10, turn]).permutation(len(self.studies)))
        return self._kept[1]


class FrozenText:
    """A frozen text encoder with its tokenizer: captions to token states.

    Args:
        encoder: a transformers encoder; it is moved to where the ids are.
        tokenizer: its tokenizer.
        part: how captions are cut, and whether the UNet passes over their padding. Where it does not, captions are
            padded to ``max_tokens`` as Stable Diffusion's are; else to the longest of the batch.
    """

    def __init__(self, encoder: nn.Module, tokenizer: Any, part: TextPart) -> None:
        self.encoder, self.tokenizer, self.part = encoder.requires_grad_(False).eval(), tokenizer, part

    def read(self, captions: Sequence[str]) -> dict[str, Tensor]:
        """Ids and mask ``[B, T]`` of captions."""
        read = self.tokenizer(
            list(captions),
            padding=True if self.part.mask_padding else "max_length",
            truncation=True,
            max_length=self.part.max_tokens,
            return_tensors="pt",
        )
        return {"input_ids": read["input_ids"], "attention_mask": read["attention_mask"]}

    @torch.no_grad()
    def states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Last hidden states ``[B, T, D]``."""
        self.encoder.to(input_ids.device)
        states: Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


class DenoisingTask(nn.Module):
    """A UNet with its loss, a frozen text encoder beside it, and the running mean of what is trained.

    The state of the task, hence a checkpoint, holds the trained weights and their mean, and of the UNet's frozen
    weights (under adapters) nothing.
    """

    def __init__(
        self, unet: UNet2DConditionModel, text: FrozenText, scheduler: DDIMScheduler, noise: NoisePart, decay: float
    ) -> None:
        super().__init__()
        self.unet = unet
        self.mean = RunningMean((p for p in unet.parameters() if p.requires_grad), decay)
        self.register_buffer("alphas", scheduler.alphas_cumprod.clone(), persistent=False)
        self.alphas: Tensor
        self._beside = (text, noise)
        self.register_state_dict_post_hook(_without_frozen)

    def collate(self, batches: Sequence[Drawn]) -> dict[str, Tensor]:
        """Drawn batches as one."""
        text, _ = self._beside
        captions = text.read([caption for batch in batches for caption in batch.captions])
        return {
            "latents": torch.cat([batch.latents for batch in batches]),
            "noise": torch.cat([batch.noise for batch in batches]),
            "times": torch.cat([batch.times for batch in batches]),
            **captions,
        }

    def forward(
        self, latents: Tensor, noise: Tensor, times: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> dict[str, Tensor]:
        """The loss term ``denoising``: weighted mean squared error of the predicted noise or velocity."""
        _, part = self._beside
        error = self.errors(latents, noise, times, input_ids, attention_mask)
        return {"denoising": (loss_weights(part, self.alphas, times) * error).mean()}

    def errors(
        self, latents: Tensor, noise: Tensor, times: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> Tensor:
        """Mean squared error ``[B]`` of each prediction."""
        text, part = self._beside
        states = text.states(input_ids, attention_mask)
        kept, lost = self.alphas[times].sqrt(), (1 - self.alphas[times]).sqrt()
        kept, lost = kept[:, None, None, None], lost[:, None, None, None]
        target = noise if part.prediction == "epsilon" else kept * noise - lost * latents
        predicted = self.unet(
            kept * latents + lost * noise,
            times,
            states,
            encoder_attention_mask=attention_mask if text.part.mask_padding else None,
        ).sample
        return (predicted.float() - target).square().mean(dim=(1, 2, 3))


def _without_frozen(task: nn.Module, state: dict[str, Tensor], prefix: str, metadata: Any) -> None:
    for name, parameter in task.named_parameters():
        if not parameter.requires_grad:
            state.pop(prefix + name, None)


@torch.inference_mode()
def validate(task: DenoisingTask, batches: Sequence[Drawn]) -> dict[str, float]:
    """How well the running mean denoises held-out latents, and what the caption is worth to it; no box is read.

    ``loss`` is the unweighted error with the right captions, ``shuffled`` and ``empty`` those with the captions of
    another study and without any, over the same noise; ``worth`` = shuffled / loss - 1. ``fit`` is minus the loss: the
    best checkpoint is the one with the highest.
    """
    text, _ = task._beside
    device = task.alphas.device
    sums = dict.fromkeys(("loss", "shuffled", "empty"), 0.0)
    with task.mean.in_place():
        for batch in batches:
            drawn = {name: value.to(device) for name, value in task.collate([batch]).items()}
            turned = batch.captions[1:] + batch.captions[:1]
            for name, captions in (("loss", batch.captions), ("shuffled", turned), ("empty", [""] * len(turned))):
                read = {key: value.to(device) for key, value in text.read(captions).items()}
                sums[name] += float(task.errors(**(drawn | read)).mean()) / len(batches)
    return sums | {"worth": sums["shuffled"] / sums["loss"] - 1, "fit": -sums["loss"]}
