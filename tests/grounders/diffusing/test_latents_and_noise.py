from __future__ import annotations

import pytest
import tiny_diffusion
import torch

from knowmvg.core.records import Phrase
from knowmvg.grounders.diffusion import text_bias
from knowmvg.grounders.diffusion.reading import PhraseReader
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.nn.diffusion.latents import UnshuffledLatents
from knowmvg.nn.diffusion.schedule import drawn, generator, noise_scale, noised

CANVASES = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
PHRASES = [Phrase(text=text) for text in ("left effusion", "nodule", "upper lobe nodule")]


def test_unshuffled_pixels_come_back_exactly_and_are_standardised():
    latents = UnshuffledLatents.fit(CANVASES, 4)
    assert (latents.side, latents.shape) == (32, (16, 8, 8))
    mean, std = latents.moments(CANVASES)
    assert not std.any()
    torch.testing.assert_close(latents.decode(mean), CANVASES, atol=1e-6, rtol=0)
    torch.testing.assert_close(mean.mean((0, 2, 3)), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(mean.std((0, 2, 3)), torch.ones(16), atol=1e-4, rtol=0)


@pytest.mark.parametrize("wrong", [([0.0] * 3, [1.0] * 3), ([0.0] * 4, [1.0] * 3), ([0.0] * 4, [0.0] * 4), ([], [])])
def test_channels_that_are_no_square_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        UnshuffledLatents(8, *wrong)


def test_the_vae_s_posterior_scaled():
    latents = tiny_diffusion.vae()
    posterior = latents.vae.encode(CANVASES.repeat(1, 3, 1, 1) * 2 - 1).latent_dist
    mean, std = latents.moments(CANVASES)
    assert mean.shape[1:] == latents.shape
    torch.testing.assert_close(mean, posterior.mean * 0.18215)
    torch.testing.assert_close(std, posterior.std * 0.18215)
    made = latents.decode(mean)
    assert made.shape == CANVASES.shape
    assert made.min() >= 0
    assert made.max() <= 1


def test_noise_is_that_of_diffusers():
    scheduler = tiny_diffusion.scheduler()
    source = torch.Generator().manual_seed(1)
    clear, noise = torch.randn(2, 3, 4, 8, 8, generator=source)
    times = torch.tensor([0, 400, 999])
    wanted = scheduler.add_noise(clear, noise, times)
    torch.testing.assert_close(noised(clear, noise, scheduler.alphas_cumprod[times]), wanted)


def test_a_prediction_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="flow"):
        noise_scale("flow", torch.ones(1))


def test_what_is_drawn_hangs_on_its_name_alone():
    def numbers(*names, seed=0):
        return drawn((4,), generator(seed, *names), torch.device("cpu"))

    assert torch.equal(numbers("text", "a"), numbers("text", "a"))
    others = [numbers("text", "b"), numbers("image", "a"), numbers("text", "a", seed=1), numbers("texta")]
    others += [numbers("te", "xta"), numbers("text", "a", 0)]
    assert all(not torch.equal(numbers("text", "a"), other) for other in others)


def test_the_maps_take_no_more_room_for_more_steps():
    parts = tiny_diffusion.parts()

    def held(**changes):
        reader = PhraseReader(parts, ReadSettings(rows=4, **changes))
        reader.read(CANVASES[:1, :, :16, :16], [PHRASES])
        return reader.map_bytes

    assert held(steps=3, window=(0, 3)) == held(steps=9, window=(0, 9))
    assert held(steps=3, window=(0, 3), read="attention_and_noise") == held(
        steps=9, window=(0, 9), read="attention_and_noise"
    )


def test_text_biases_are_known_again_and_forgotten_in_turn(monkeypatch):
    monkeypatch.setattr(text_bias, "KEPT", 2)
    settings = ReadSettings(steps=2, window=(0, 2), merge="hadamard", bias_guidance=1)
    reader = PhraseReader(tiny_diffusion.parts(), settings)

    def passes(*phrases):
        before = reader.passes
        reader.read(CANVASES[:1, :, :16, :16], [phrases])
        return reader.passes - before - 2 * len(phrases)

    assert passes(PHRASES[0]) == 2  # without guidance one pass a step
    assert passes(PHRASES[0], PHRASES[0]) == 0
    assert passes(*PHRASES) == 4  # more at once than are kept
    assert passes(PHRASES[2]) == 0
    assert passes(PHRASES[0]) == 2
    assert passes(PHRASES[2]) == 0
