"""The noise process of a recipe: scheduler, how timesteps are drawn, how their losses are weighed."""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from knowmvg.training.diffusion.recipe import NoisePart


def scheduler_of(part: NoisePart) -> DDIMScheduler:
    """The scheduler of a recipe, as it is saved with the model."""
    return DDIMScheduler(
        num_train_timesteps=part.steps,
        beta_start=part.beta_start,
        beta_end=part.beta_end,
        beta_schedule=part.schedule,
        prediction_type=part.prediction,
        rescale_betas_zero_snr=part.zero_terminal_snr,
        timestep_spacing="trailing" if part.zero_terminal_snr else "leading",
        steps_offset=0 if part.zero_terminal_snr else 1,
        clip_sample=False,
        set_alpha_to_one=False,
    )


def draw_times(part: NoisePart, count: int, generator: torch.Generator) -> Tensor:
    """Timesteps ``[count]`` of the share ``part.times``, one in each of ``count`` strata, in random order.

    Strata (equal parts of the distribution) leave every timestep's probability as it is and make the mean over a batch
    less noisy (Kingma et al. 2021, appendix I.1).
    """
    strata = torch.randperm(count, generator=generator)
    shares = (strata + torch.rand(count, generator=generator, dtype=torch.float64)) / count
    first, last = (share * part.steps for share in part.times)
    times = first + (last - first) * shares ** (1 / part.towards_noise)
    return times.long().clamp_(0, part.steps - 1)


def loss_weights(part: NoisePart, alphas: Tensor, times: Tensor) -> Tensor:
    """Weight ``[B]`` of the squared error at each timestep.

    With gamma, that of min-SNR for the predicted quantity: min(snr, gamma) / snr for the noise and
    min(snr, gamma) / (snr + 1) for the velocity (Hang et al. 2023, section 3.4); else 1.

    Args:
        part: the recipe's part.
        alphas: cumulative products ``[steps]`` of the scheduler.
        times: timesteps ``[B]``.
    """
    kept = alphas[times]
    if part.min_snr is None:
        return torch.ones_like(kept)
    ratio = kept / (1 - kept)
    clipped = ratio.clamp(max=part.min_snr)
    return clipped / (ratio + 1) if part.prediction == "v_prediction" else clipped / ratio
