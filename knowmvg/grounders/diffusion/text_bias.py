"""The text bias: where the words of a phrase look while the model makes an image from noise alone.

It hangs on the phrase and the seed and on no image, so that it is computed once a phrase.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from knowmvg.core.boxes import FloatArray
from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.grounders.diffusion.text import Conditions
from knowmvg.nn.diffusion.attention import reading_attention
from knowmvg.nn.diffusion.schedule import denoising, drawn, generator

KEPT = 64  # phrases; at the size of Stable Diffusion 1.5 one takes 5.4 MB


@dataclass(frozen=True, slots=True)
class TextBias:
    """The attention of a phrase's content words without image: for each layer ``[steps, h, h]``, as coarse as it is."""

    maps: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the maps."""
        return sum(one.nbytes for one in self.maps)

    def mean(self, side: int) -> FloatArray:
        """The mean ``[side, side]`` over layers and steps, coarse maps enlarged by repetition."""
        means = [functional.interpolate(one.mean(0)[None, None], (side, side)) for one in self.maps]
        return torch.cat(means).double().mean((0, 1)).cpu().numpy()


class TextBiases:
    """Text biases, kept for the phrases that were asked last (by a hash of their words)."""

    def __init__(self, parts: DiffusionParts, settings: ReadSettings) -> None:
        self._parts, self._settings = parts, settings
        self._kept: OrderedDict[str, TextBias] = OrderedDict()
        self.passes = 0

    def of(self, texts: Sequence[str], conditions: Conditions, content: Tensor) -> list[TextBias]:
        """The biases of phrases, whose conditions and content tokens ``[P, T]`` are given in the same order."""
        keys = [_key(text, row) for text, row in zip(texts, content, strict=True)]
        new = {key: row for row, key in enumerate(keys) if key not in self._kept}
        found = {key: self._kept[key] for key in keys if key in self._kept}
        for key, row in new.items():  # one at a time: guided denoising would blow up what a batch changes in rounding
            found[key] = self._made(texts[row], conditions.rows(torch.tensor([row])), content[row])
        for key in keys:
            self._kept[key] = found[key]
            self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return [found[key] for key in keys]

    def _made(self, text: str, condition: Conditions, content: Tensor) -> TextBias:
        """Denoise from pure noise with guidance, reading the conditional half."""
        parts, settings = self._parts, self._settings
        guided = settings.bias_guidance > 1
        scheduler = denoising(parts.scheduler, settings.steps, settings.spacing)
        source = generator(settings.seed, "text", text)
        x = drawn((1, *parts.latents.shape), source, parts.device) * scheduler.init_noise_sigma
        none = parts.encode([""], length=condition.states.shape[1])
        states = torch.cat([condition.states, none.states]) if guided else condition.states
        mask = parts.attention_mask(condition)
        if mask is not None and guided:
            mask = torch.cat([mask, none.mask])
        sink = _Steps(content, guided)
        with reading_attention(parts.unet, sink):
            for t in scheduler.timesteps:
                rows = x.expand(len(states), -1, -1, -1)
                told = parts.unet(
                    rows, t.to(parts.device), encoder_hidden_states=states, encoder_attention_mask=mask
                ).sample
                self.passes += len(states)
                predicted = told[:1]
                if guided:
                    predicted = told[1:] + settings.bias_guidance * (predicted - told[1:])
                x = scheduler.step(predicted, t, x).prev_sample
        return TextBias(sink.maps())


def _key(text: str, content: Tensor) -> str:
    return hashlib.sha256(f"{text}\0{content.nonzero().flatten().tolist()}".encode()).hexdigest()


class _Steps:
    """Keeps the maps of the first row, each layer at its own resolution."""

    def __init__(self, content: Tensor, guided: bool) -> None:
        groups = content.view(1, -1, 1)
        self.groups = torch.cat([groups, torch.zeros_like(groups)]) if guided else groups
        self._maps: dict[int, list[Tensor]] = {}

    def add(self, layer: int, maps: Tensor) -> None:
        self._maps.setdefault(layer, []).append(maps[0, 0].clone())

    def maps(self) -> tuple[Tensor, ...]:
        return tuple(torch.stack(self._maps[layer]) for layer in sorted(self._maps))
