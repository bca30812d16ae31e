"""Passes of noised images through the UNet, as many at once as fit, no more of them than the read-out needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.grounders.diffusion.sums import AttentionSums, Resolutions
from knowmvg.grounders.diffusion.text import Conditions
from knowmvg.nn.diffusion.schedule import denoising, drawn, generator, inverting, noise_scale, noised

NO_PHRASE = -1


@dataclass(slots=True)
class _Chunk:
    """Rows of one pass: latents, timesteps, and whose they are."""

    latents: list[Tensor] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    phrases: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.phrases)

    def add(self, latent: Tensor, time: int, step: int, phrases: Sequence[int]) -> None:
        self.latents += [latent] * len(phrases)
        self.times += [time] * len(phrases)
        self.steps += [step] * len(phrases)
        self.phrases += phrases


class Passes:
    """Reads phrases in images; the sums are its result.

    Args:
        parts: the model.
        settings: how it is read.
        conditions: of the phrases, and behind them of no phrase.
        images: for each image its phrases, by their places in ``conditions``.
        sums: takes the attention; ``None`` where only noise is read.
    """

    def __init__(
        self,
        parts: DiffusionParts,
        settings: ReadSettings,
        conditions: Conditions,
        images: Sequence[Sequence[int]],
        sums: AttentionSums | None,
    ) -> None:
        self._parts, self._settings, self._images, self._sums = parts, settings, images, sums
        self._conditions, self._mask = conditions, parts.attention_mask(conditions)
        self._alphas = parts.scheduler.alphas_cumprod
        self.noise = Resolutions(len(conditions) - 1)
        self.count = 0

    @property
    def _compared(self) -> bool:
        return self._settings.read != "attention"

    def run(self, mean: Tensor, std: Tensor, canvases: Tensor) -> None:
        """Read all phrases in images whose latents have ``mean`` and ``std`` ``[N, C, S, S]``."""
        (self._invert if self._settings.noise == "inversion" else self._renoise)(mean, std, canvases)

    # --- forward: each step has noise of its own ---------------------------------------------------------------------

    def _renoise(self, mean: Tensor, std: Tensor, canvases: Tensor) -> None:
        settings = self._settings
        times = denoising(self._parts.scheduler, settings.steps, settings.spacing).timesteps.tolist()
        read = range(settings.steps) if settings.merge != "off" else range(*settings.window)
        chunk = _Chunk()
        for number, phrases in enumerate(self._images):
            if not phrases:
                continue
            digest = hashlib.sha256(canvases[number].cpu().numpy().tobytes()).digest()
            for step in read:
                latent = self._noised(mean[number], std[number], digest, step, times[step])
                for block in self._blocks(phrases, compared=self._compared and settings.in_window(step)):
                    if chunk.phrases and len(chunk) + len(block) > settings.rows:
                        self._compute(chunk)
                        chunk = _Chunk()
                    chunk.add(latent, times[step], step, block)
        if chunk.phrases:
            self._compute(chunk)

    def _noised(self, mean: Tensor, std: Tensor, digest: bytes, step: int, time: int) -> Tensor:
        """One image at one step: a point of its latents' distribution, and noise, both its own."""
        source = generator(self._settings.seed, "image", digest, step)
        clear, noise = (drawn(mean.shape, source, mean.device) for _ in range(2))
        return noised((mean + std * clear)[None], noise[None], self._alphas[time : time + 1])[0]

    def _blocks(self, phrases: Sequence[int], *, compared: bool) -> Iterator[list[int]]:
        """The phrases of one image and step, led by no phrase where predictions are compared."""
        lead = [NO_PHRASE] if compared else []
        size = max(1, self._settings.rows - len(lead))
        for start in range(0, len(phrases), size):
            yield [*lead, *phrases[start : start + size]]

    # --- inversion: each step starts where the last one ended --------------------------------------------------------

    def _invert(self, mean: Tensor, std: Tensor, canvases: Tensor) -> None:
        """DDIM inversion without guidance: no phrase leads the way, phrases are only read beside it."""
        group: list[int] = []
        for number, phrases in enumerate(self._images):
            if not phrases:
                continue
            taken = sum(1 + len(self._images[each]) for each in group)
            if group and taken + 1 + len(phrases) > self._settings.rows:
                self._invert_together(mean, group)
                group = []
            group.append(number)
        if group:
            self._invert_together(mean, group)

    def _invert_together(self, mean: Tensor, group: Sequence[int]) -> None:
        settings, parts = self._settings, self._parts
        scheduler = inverting(parts.scheduler, settings.steps, settings.spacing)
        scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(parts.device)
        latents = mean[list(group)]
        first, last = settings.window
        for place, time in enumerate(scheduler.timesteps[: settings.steps - first].tolist()):
            step = settings.steps - 1 - place  # counted from the noisiest
            chunk = _Chunk()
            for latent, number in zip(latents, group, strict=True):
                chunk.add(latent, time, step, [NO_PHRASE, *(self._images[number] if step < last else ())])
            told = self._compute(chunk)
            alone = torch.tensor([phrase == NO_PHRASE for phrase in chunk.phrases])
            latents = scheduler.step(told[alone.to(told.device)], time, latents).prev_sample

    # --- both --------------------------------------------------------------------------------------------------------

    def _compute(self, chunk: _Chunk) -> Tensor:
        """One call of the UNet; what it predicts ``[R, C, S, S]``."""
        device = self._parts.device
        rows = torch.tensor(chunk.phrases)
        index = torch.where(rows >= 0, rows, len(self._conditions) - 1).to(device)
        if self._sums is not None:
            self._sums.expect(chunk.phrases, chunk.steps)
        told: Tensor = self._parts.unet(
            torch.stack(chunk.latents),
            torch.tensor(chunk.times, device=device),
            encoder_hidden_states=self._conditions.states[index],
            encoder_attention_mask=None if self._mask is None else self._mask[index],
        ).sample
        self.count += len(chunk)
        if self._compared:
            self._compare(chunk, told)
        return told

    def _compare(self, chunk: _Chunk, told: Tensor) -> None:
        """Add the norm over channels of what each phrase changes; its image without phrase leads its block."""
        leads, lead = [], 0
        for row, phrase in enumerate(chunk.phrases):
            lead = row if phrase == NO_PHRASE else lead
            leads.append(lead)
        inside = [self._settings.in_window(step) for step in chunk.steps]
        named = [row for row, phrase in enumerate(chunk.phrases) if phrase != NO_PHRASE and inside[row]]
        if not named:
            return
        times = torch.tensor([chunk.times[row] for row in named])
        scale = noise_scale(self._parts.scheduler.config.prediction_type, self._alphas[times]).to(told.device)
        norm = (told[named] - told[[leads[row] for row in named]]).float().norm(dim=1) * scale.view(-1, 1, 1)
        self.noise.add(torch.tensor([chunk.phrases[row] for row in named], device=told.device), norm)
