"""Noise schedules read backwards: timesteps, images noised to any of them, seeds, and predictions as noise."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

SCHEDULES = ("leading", "trailing", "linspace")


def denoising(scheduler: Any, steps: int, spacing: str) -> Any:
    """A ``DDIMScheduler`` of the same noise schedule with its timesteps set, the noisiest first."""
    from diffusers import DDIMScheduler

    made = DDIMScheduler.from_config(scheduler.config, timestep_spacing=spacing)
    made.set_timesteps(steps)
    return made


def inverting(scheduler: Any, steps: int, spacing: str) -> Any:
    """A ``DDIMInverseScheduler`` of the same noise schedule with its timesteps set, the clearest first."""
    from diffusers import DDIMInverseScheduler

    made = DDIMInverseScheduler.from_config(scheduler.config, timestep_spacing=spacing)
    made.set_timesteps(steps)
    return made


def generator(seed: int, *names: bytes | str | int) -> torch.Generator:
    """A generator on the CPU for one thing that is drawn, the same whatever is drawn beside it."""
    state = hashlib.sha256(str(seed).encode())
    for name in names:
        part = name if isinstance(name, bytes) else str(name).encode()
        state.update(len(part).to_bytes(8, "big") + part)
    return torch.Generator().manual_seed(int.from_bytes(state.digest()[:8], "big", signed=True))


def drawn(shape: Sequence[int], source: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal numbers, drawn on the CPU so that every device gets the same."""
    return torch.randn(tuple(shape), generator=source).to(device)


def noised(clear: Tensor, noise: Tensor, alphas: Tensor) -> Tensor:
    """``sqrt(alpha) x + sqrt(1 - alpha) noise`` (Ho et al. 2020, equation 4); ``alphas`` ``[B]`` are cumulative."""
    level = alphas.to(clear.device, clear.dtype).view(-1, 1, 1, 1)
    return level.sqrt() * clear + (1 - level).sqrt() * noise


def noise_scale(prediction: str, alphas: Tensor) -> Tensor:
    """How much predicted noise a unit of difference between two predictions ``[B]`` is, at cumulative ``alphas``.

    For ``epsilon`` 1; ``v_prediction``: noise is ``sqrt(alpha) v + sqrt(1 - alpha) x`` (Salimans and Ho 2022, appendix
    D); ``sample``: ``(x - sqrt(alpha) x0) / sqrt(1 - alpha)``. Raises ``ValueError`` for another prediction.
    """
    if prediction == "epsilon":
        return torch.ones_like(alphas)
    if prediction == "v_prediction":
        return alphas.sqrt()
    if prediction == "sample":
        return (alphas / (1 - alphas)).sqrt()
    raise ValueError(f"expected epsilon, v_prediction or sample, got {prediction!r}")
