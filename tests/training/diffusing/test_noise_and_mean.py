"""Noise schedules, timesteps, weights of the loss, and the running mean of the weights, against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from knowmvg.training.diffusion.ema import RunningMean
from knowmvg.training.diffusion.noise import draw_times, loss_weights, scheduler_of
from knowmvg.training.diffusion.recipe import NoisePart


def test_the_running_mean_is_that_of_its_formula() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2).double()
    mean = RunningMean(layer.parameters(), 0.5)
    seen = [layer.weight.detach().clone()]
    for _ in range(12):
        with torch.no_grad():
            layer.weight.add_(torch.randn_like(layer.weight))
        seen.append(layer.weight.detach().clone())
        mean.update()
    shares = [min(0.5, (1 + n) / (10 + n)) for n in range(1, 13)]
    weights = [torch.tensor(shares).prod()]
    weights += [(1 - kept) * torch.tensor(shares[n:]).prod() for n, kept in enumerate(shares, 1)]
    wanted = sum(w * value for w, value in zip(weights, seen, strict=True))
    torch.testing.assert_close(mean.mean_0, wanted, rtol=1e-6, atol=1e-6)
    assert sum(map(float, weights)) == pytest.approx(1)


def test_the_mean_is_in_place_within_the_block_alone() -> None:
    layer = nn.Linear(2, 2)
    mean = RunningMean(layer.parameters(), 0.9)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(1)
    with mean.in_place():
        torch.testing.assert_close(layer.weight.detach(), start)
    torch.testing.assert_close(layer.weight.detach(), start + 1)
    torch.testing.assert_close(mean.mean_0, start)


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear"])
def test_betas_are_those_of_the_schedule(schedule: str) -> None:
    part = NoisePart(schedule=schedule, steps=100, beta_start=0.001, beta_end=0.09)
    betas = scheduler_of(part).betas
    ends = (0.001, 0.09) if schedule == "linear" else (0.001**0.5, 0.09**0.5)
    wanted = torch.linspace(*ends, 100) ** (1 if schedule == "linear" else 2)
    torch.testing.assert_close(betas, wanted)


def test_zero_terminal_snr_leaves_nothing_of_the_image_and_keeps_the_start() -> None:
    plain = NoisePart(prediction="v_prediction")
    zero = plain.model_copy(update={"zero_terminal_snr": True})
    first, second = scheduler_of(plain).alphas_cumprod, scheduler_of(zero).alphas_cumprod
    assert float(second[-1]) < 1e-6 < float(first[-1])
    torch.testing.assert_close(first[0], second[0])
    assert scheduler_of(zero).config.timestep_spacing == "trailing"


def test_min_snr_weighs_the_image_by_the_clipped_ratio_whatever_is_predicted() -> None:
    alphas = torch.tensor([0.99, 0.5, 0.1])
    times, ratio = torch.arange(3), alphas / (1 - alphas)
    for prediction, of_image in (("epsilon", ratio), ("v_prediction", ratio + 1)):
        part = NoisePart(prediction=prediction, min_snr=5.0)
        # an error of the image weighs `of_image` as one of what is predicted
        torch.testing.assert_close(loss_weights(part, alphas, times) * of_image, ratio.clamp(max=5.0))
    assert loss_weights(NoisePart(), alphas, times).tolist() == [1, 1, 1]


def test_timesteps_lie_in_their_share_and_towards_the_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    part = NoisePart(times=(0.2, 0.9), towards_noise=2.0)
    drawn = torch.cat([draw_times(part, 16, generator) for _ in range(500)]).double()
    assert 200 <= int(drawn.min()) < 320
    assert 890 <= int(drawn.max()) < 900
    assert float(drawn.mean()) == pytest.approx(200 + 700 * 2 / 3, abs=5)
    even = torch.cat([draw_times(NoisePart(), 16, generator) for _ in range(500)])
    assert torch.histc(even.double(), 10, 0, 1000).tolist() == pytest.approx([800] * 10, abs=60)
