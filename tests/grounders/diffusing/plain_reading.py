"""Generate to Ground without any reduction: one phrase and one step at a time, every map of every token kept."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch.nn import functional

from knowmvg.nn.diffusion.attention import cross_attentions
from knowmvg.nn.diffusion.schedule import denoising, drawn, generator, inverting


class Keeping:
    """Diffusers' eager attention that keeps the softmax, mean over heads."""

    def __init__(self, kept):
        self.kept = kept

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **kwargs):
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

    def __init__(self, parts, settings, guided_image=False):
        self.parts, self.settings, self.guided_image = parts, settings, guided_image
        self.side = parts.latents.shape[1]
        self.names = cross_attentions(parts.unet)

    def _call(self, x, time, states, mask=None):
        kept = []
        before = dict(self.parts.unet.attn_processors)
        order = {name: Keeping(kept) for name in self.names}
        self.parts.unet.set_attn_processor(before | order)
        told = self.parts.unet(x, time, encoder_hidden_states=states, encoder_attention_mask=mask).sample
        self.parts.unet.set_attn_processor(before)
        return told, torch.stack([self._up(one[:1])[0] for one in kept])

    def _up(self, maps):
        return maps.repeat_interleave(self.side // maps.shape[-1], 2).repeat_interleave(self.side // maps.shape[-1], 3)

    def image_maps(self, canvas, phrase):
        """Re-noising: maps ``[step, layer, token, S, S]`` and the norm of the noise difference ``[step, S, S]``."""
        parts, settings = self.parts, self.settings
        mean, std = parts.latents.moments(canvas[None])
        digest = hashlib.sha256(canvas.numpy().tobytes()).digest()
        own, none = parts.encode([phrase]).states, parts.encode([""]).states
        times = denoising(parts.scheduler, settings.steps, settings.spacing).timesteps
        maps, norms = [], []
        for step, time in enumerate(times):
            source = generator(settings.seed, "image", digest, step)
            clear = mean + std * drawn(mean.shape[1:], source, parts.device)
            level = parts.scheduler.alphas_cumprod[time]
            x = level.sqrt() * clear + (1 - level).sqrt() * drawn(mean.shape[1:], source, parts.device)
            told, kept = self._call(torch.cat([x, x]), time, torch.cat([own, none]))
            maps.append(kept)
            norms.append((told[0] - told[1]).norm(dim=0))
        return torch.stack(maps), torch.stack(norms)

    def inverted_maps(self, canvas, phrase):
        """The same by DDIM inversion; steps are counted from the noisiest."""
        parts, settings = self.parts, self.settings
        x, _ = parts.latents.moments(canvas[None])
        own, none = parts.encode([phrase]).states, parts.encode([""]).states
        scheduler = inverting(parts.scheduler, settings.steps, settings.spacing)
        maps, norms = [], []
        for time in scheduler.timesteps:
            told, kept = self._call(torch.cat([x, x]), time, torch.cat([own, none]))
            maps.append(kept)
            norms.append((told[0] - told[1]).norm(dim=0))
            x = scheduler.step(told[1:], time, x).prev_sample
        return torch.stack(maps[::-1]), torch.stack(norms[::-1])

    def text_maps(self, phrase):
        """An image from noise alone, with guidance: maps ``[step, layer, token, S, S]``."""
        parts, settings = self.parts, self.settings
        states = torch.cat([parts.encode([phrase]).states, parts.encode([""]).states])
        scheduler = denoising(parts.scheduler, settings.steps, settings.spacing)
        x = drawn((1, *parts.latents.shape), generator(settings.seed, "text", phrase), parts.device)
        maps = []
        for time in scheduler.timesteps:
            told, kept = self._call(torch.cat([x, x]), time, states)
            maps.append(kept)
            guided = told[1:] + settings.bias_guidance * (told[:1] - told[1:])
            x = scheduler.step(guided, time, x).prev_sample
        return torch.stack(maps)

    def mean(self, maps, tokens):
        """The mean over the window, the layers and tokens, each map stretched before where the settings say so."""
        settings = self.settings
        layers = list(settings.layers or range(maps.shape[1]))
        part = maps[slice(*settings.window)][:, layers][:, :, tokens].mean(2)
        if settings.normalise:
            low, high = part.amin((2, 3), keepdim=True), part.amax((2, 3), keepdim=True)
            part = (part - low) / (high - low)
        return part.mean((0, 1)).double().numpy()

    def biases(self, image, text, tokens):
        """Image bias, text bias and their product, over all steps and layers, one token at a time."""
        first, words = image[:, :, 0].double(), text[:, :, tokens].double()
        together = torch.matmul if self.settings.merge == "matmul" else torch.mul
        product = torch.stack([together(first, words[:, :, k]) for k in range(len(tokens))]).mean((0, 1, 2))
        return first.mean((0, 1)).numpy(), words.mean((0, 1, 2)).numpy(), product.numpy()


def upsampled(values, side):
    """A map interpolated between cells."""
    made = functional.interpolate(torch.from_numpy(np.asarray(values))[None, None], (side, side), mode="bilinear")
    return made[0, 0].numpy()
