"""Phrases in images to maps: content words, passes through the UNet, merging."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from knowmvg.core.boxes import FloatArray
from knowmvg.core.errors import ModelError
from knowmvg.core.records import Phrase
from knowmvg.grounders.diffusion.merging import merged, stretched
from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.passes import Passes
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.grounders.diffusion.sums import AttentionSums
from knowmvg.grounders.diffusion.text import Conditions
from knowmvg.grounders.diffusion.text_bias import TextBiases
from knowmvg.grounders.diffusion.thresholds import otsu
from knowmvg.grounders.diffusion.words import content_words, token_weights
from knowmvg.nn.diffusion.attention import cross_attentions, reading_attention

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RawMaps:
    """What was read of one phrase: means ``[S, S]`` over layers, steps and tokens; ``None`` where it was not asked for.

    ``attention`` is that of the content words, ``product`` that of image bias and text bias, ``noise`` the norm of the
    difference that the phrase makes to the predicted noise.
    """

    attention: FloatArray | None = None
    image_bias: FloatArray | None = None
    text_bias: FloatArray | None = None
    product: FloatArray | None = None
    noise: FloatArray | None = None


class PhraseReader:
    """Reads phrases in canvases.

    ``passes`` counts the images that went through the UNet, those for text biases included; ``map_bytes`` is what the
    maps of the last call took, its text biases included.

    Args:
        parts: the model.
        settings: how it is read.

    Raises:
        ModelError: layers that the UNet does not have, or more steps than its schedule.
    """

    def __init__(self, parts: DiffusionParts, settings: ReadSettings) -> None:
        self.parts, self.settings = parts, settings
        known, total = len(cross_attentions(parts.unet)), int(parts.scheduler.config.num_train_timesteps)
        if settings.layers is not None and max(settings.layers) >= known:
            got = f"layer {max(settings.layers)}"
            raise ModelError(f"layers below {known}", got, "Name layers that this UNet has, or none for all.")
        if settings.steps > total:
            raise ModelError(f"at most {total} steps", f"{settings.steps}", "Ask for fewer steps.")
        self._layers = tuple(range(known)) if settings.layers is None else settings.layers
        self._biases = TextBiases(parts, settings)
        self._read = 0
        self.map_bytes = 0

    @property
    def passes(self) -> int:
        """Images that went through the UNet so far."""
        return self._read + self._biases.passes

    @torch.inference_mode()
    def read(self, canvases: Tensor, phrases: Sequence[Sequence[Phrase]]) -> list[list[RawMaps | None]]:
        """The maps of each image's phrases; ``None`` for a phrase without a word to look for.

        Args:
            canvases: ``[N, 1, side, side]`` in ``[0, 1]``.
            phrases: those of each image.
        """
        texts = [phrase.text for row in phrases for phrase in row]
        if not texts:
            return [[] for _ in phrases]
        conditions = self.parts.encode([*texts, ""])
        content = self._content([phrase for row in phrases for phrase in row], conditions)
        numbers = iter(range(len(texts)))
        placed = [[number for number in (next(numbers) for _ in row) if bool(content[number].any())] for row in phrases]
        found = self._maps(canvases, conditions, content, texts, placed)
        numbers = iter(range(len(texts)))
        return [[found.get(next(numbers)) for _ in row] for row in phrases]

    def _content(self, phrases: Sequence[Phrase], conditions: Conditions) -> Tensor:
        rows = [
            token_weights(offsets, content_words(phrase, self.settings.words), first_piece=self.settings.first_piece)
            for phrase, offsets in zip(phrases, conditions.offsets[:-1], strict=True)
        ]
        return torch.stack(rows).to(self.parts.device)

    def _maps(
        self,
        canvases: Tensor,
        conditions: Conditions,
        content: Tensor,
        texts: Sequence[str],
        placed: Sequence[Sequence[int]],
    ) -> dict[int, RawMaps]:
        numbers = [number for row in placed for number in row]
        if not numbers:
            return {}
        settings, side = self.settings, self.parts.latents.shape[1]
        kept = torch.tensor([*numbers, len(texts)])
        conditions, content = conditions.rows(kept), content[numbers]
        again = {number: place for place, number in enumerate(numbers)}
        images = [[again[number] for number in row] for row in placed]
        biases = None
        if settings.merge != "off":
            biases = self._biases.of([texts[number] for number in numbers], conditions, content)
        attended = settings.read != "noise_difference"
        sums = AttentionSums(settings, self._layers, content, side, biases) if attended else None
        passes = Passes(self.parts, settings, conditions, images, sums)
        layers = self._layers if biases is None else None
        mean, std = self.parts.latents.moments(canvases.to(self.parts.device))
        with nullcontext() if sums is None else reading_attention(self.parts.unet, sums, layers):
            passes.run(mean, std, canvases)
        self._read += passes.count
        self.map_bytes = passes.noise.nbytes + (0 if sums is None else sums.nbytes)
        self.map_bytes += sum(bias.nbytes for bias in biases or ())
        steps = settings.window[1] - settings.window[0]
        found = {}
        for place, number in enumerate(numbers):
            attention = image_bias = text_bias = product = noise = None
            if sums is not None:
                attention = sums.attention.total(place, side, settings.upsample) / (steps * len(self._layers))
            if sums is not None and biases is not None:
                every = settings.steps * len(biases[place].maps)
                image_bias = sums.image_bias.total(place, side, "nearest") / every
                product = sums.product.total(place, side, "nearest") / every
                text_bias = biases[place].mean(side)
            if settings.read != "attention":
                noise = passes.noise.total(place, side, "nearest") / steps
            found[number] = RawMaps(attention, image_bias, text_bias, product, noise)
        return found


def heat_of(raw: RawMaps, seen: Mask, settings: ReadSettings) -> FloatArray:
    """The map ``[S, S]`` in ``[0, 1]`` that boxes are read from; 0 in cells that are not ``seen``."""
    heat = _of_attention(raw)
    if raw.noise is not None:
        noise = stretched(raw.noise, seen)
        heat = noise if heat is None else stretched(heat, seen) * noise
    assert heat is not None
    if settings.smooth > 0:
        heat = gaussian_filter(heat, settings.smooth * len(heat))
    heat = stretched(heat, seen)
    if settings.keep_above_otsu and heat.any():
        heat = np.where(heat > otsu(heat[seen]), heat, 0.0)
    return heat


def _of_attention(raw: RawMaps) -> FloatArray | None:
    if raw.attention is None or raw.product is None or raw.image_bias is None or raw.text_bias is None:
        return raw.attention
    return merged(raw.attention, raw.product, raw.image_bias, raw.text_bias)
