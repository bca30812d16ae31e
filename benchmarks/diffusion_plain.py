"""Generate to Ground without any reduction: one phrase and one step at a time, every map of every token kept.

What the released code of the paper does, guidance and the image that nobody looks at included; the measure of speed and
memory (diffusion.py) and of parity (the tests).
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from knowmvg.core.boxes import FloatArray
from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.grounders.diffusion.text import Conditions
from knowmvg.nn.diffusion.attention import cross_attentions
from knowmvg.nn.diffusion.schedule import denoising, drawn, generator, inverting


class Keeping:
    """Diffusers' eager attention that keeps the softmax, mean over heads."""

    def __init__(self, kept: list[Tensor]) -> None:
        self.kept = kept

    def __call__(self, attn, hidden_states, encoder_hidden_states, attention_mask=None, **kwargs):
        """The output of the attention."""
        batch, tokens = len(hidden_states), encoder_hidden_states.shape[1]
        mask = attn.prepare_attention_mask(attention_mask, tokens, batch)
        query, key, value = (
            attn.head_to_batch_dim(project(states))
            for project, states in (
                (attn.to_q, hidden_states),
                (attn.to_k, encoder_hidden_states),
                (attn.to_v, encoder_hidden_states),
            )
        )
        weights = attn.get_attention_scores(query, key, mask)
        side = int(weights.shape[1] ** 0.5)
        self.kept.append(weights.view(batch, attn.heads, side, side, tokens).mean(1).permute(0, 3, 1, 2))
        return attn.to_out[0](attn.batch_to_head_dim(torch.bmm(weights, value)))


class PlainReading:
    """All maps of one phrase in one image, ``[step, layer, token, S, S]``, and everything that is made of them."""

    def __init__(self, parts: DiffusionParts, settings: ReadSettings) -> None:
        self.parts, self.settings = parts, settings
        self.side = parts.latents.shape[1]
        self.names = cross_attentions(parts.unet)

    def _call(self, x: Tensor, time: Tensor, texts: Conditions) -> tuple[Tensor, Tensor]:
        kept = []
        before = dict(self.parts.unet.attn_processors)
        order = {name: Keeping(kept) for name in self.names}
        self.parts.unet.set_attn_processor(before | order)
        mask = self.parts.attention_mask(texts)
        told = self.parts.unet(x, time, encoder_hidden_states=texts.states, encoder_attention_mask=mask).sample
        self.parts.unet.set_attn_processor(before)
        return told, torch.stack([self._up(one[:1])[0] for one in kept])

    def _up(self, maps: Tensor) -> Tensor:
        return maps.repeat_interleave(self.side // maps.shape[-1], 2).repeat_interleave(self.side // maps.shape[-1], 3)

    def image_maps(self, canvas: Tensor, phrase: str) -> tuple[Tensor, Tensor]:
        """Re-noising: maps ``[step, layer, token, S, S]`` and the norm of the noise difference ``[step, S, S]``."""
        parts, settings = self.parts, self.settings
        mean, std = parts.latents.moments(canvas[None])
        digest = hashlib.sha256(canvas.numpy().tobytes()).digest()
        texts = parts.encode([phrase, ""])
        times = denoising(parts.scheduler, settings.steps, settings.spacing).timesteps
        maps, norms = [], []
        for step, time in enumerate(times):
            source = generator(settings.seed, "image", digest, step)
            clear = mean + std * drawn(mean.shape[1:], source, parts.device)
            level = parts.scheduler.alphas_cumprod[time]
            x = level.sqrt() * clear + (1 - level).sqrt() * drawn(mean.shape[1:], source, parts.device)
            told, kept = self._call(torch.cat([x, x]), time, texts)
            maps.append(kept)
            norms.append((told[0] - told[1]).norm(dim=0))
        return torch.stack(maps), torch.stack(norms)

    def inverted_maps(self, canvas: Tensor, phrase: str) -> tuple[Tensor, Tensor]:
        """The same by DDIM inversion; steps are counted from the noisiest."""
        parts, settings = self.parts, self.settings
        x, _ = parts.latents.moments(canvas[None])
        texts = parts.encode([phrase, ""])
        scheduler = inverting(parts.scheduler, settings.steps, settings.spacing)
        maps, norms = [], []
        for time in scheduler.timesteps:
            told, kept = self._call(torch.cat([x, x]), time, texts)
            maps.append(kept)
            norms.append((told[0] - told[1]).norm(dim=0))
            x = scheduler.step(told[1:], time, x).prev_sample
        return torch.stack(maps[::-1]), torch.stack(norms[::-1])

    def text_maps(self, phrase: str) -> Tensor:
        """An image from noise alone, with guidance: maps ``[step, layer, token, S, S]``."""
        parts, settings = self.parts, self.settings
        texts = parts.encode([phrase, ""])
        scheduler = denoising(parts.scheduler, settings.steps, settings.spacing)
        x = drawn((1, *parts.latents.shape), generator(settings.seed, "text", phrase), parts.device)
        maps = []
        for time in scheduler.timesteps:
            told, kept = self._call(torch.cat([x, x]), time, texts)
            maps.append(kept)
            guided = told[1:] + settings.bias_guidance * (told[:1] - told[1:])
            x = scheduler.step(guided, time, x).prev_sample
        self.image = parts.latents.decode(x)
        return torch.stack(maps)

    def mean(self, maps: Tensor, tokens: list[int]) -> FloatArray:
        """The mean over the window, the layers and tokens, each map stretched before where the settings say so."""
        settings = self.settings
        layers = list(settings.layers or range(maps.shape[1]))
        part = maps[slice(*settings.window)][:, layers][:, :, tokens].mean(2)
        if settings.normalise:
            low, high = part.amin((2, 3), keepdim=True), part.amax((2, 3), keepdim=True)
            part = (part - low) / (high - low)
        return part.mean((0, 1)).double().numpy()

    def biases(self, image: Tensor, text: Tensor, tokens: list[int]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Image bias, text bias and their product, over all steps and layers, one token at a time."""
        first, words = image[:, :, 0].double(), text[:, :, tokens].double()
        together = torch.matmul if self.settings.merge == "matmul" else torch.mul
        product = torch.stack([together(first, words[:, :, k]) for k in range(len(tokens))]).mean((0, 1, 2))
        return first.mean((0, 1)).numpy(), words.mean((0, 1, 2)).numpy(), product.numpy()
