"""What is reduced while it is computed is what one gets who keeps every map and averages then."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_diffusion
import torch

from knowmvg.core.records import Phrase
from knowmvg.grounders.diffusion.reading import PhraseReader
from knowmvg.grounders.diffusion.settings import ReadSettings

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
from diffusion_plain import PlainReading

PHRASES = [Phrase(text="small left pleural effusion"), Phrase(text="there is a nodule in the upper lobe")]
TOKENS = {PHRASES[0].text: [2, 3, 4], PHRASES[1].text: [4, 7, 8]}  # behind [CLS]: words of findings and places
STEPS = {"steps": 4, "window": (1, 4), "rows": 5}


@pytest.fixture(scope="module")
def canvases():
    return torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def parts():
    return tiny_diffusion.parts("vae")


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("merge", ["off", "matmul", "hadamard"])
@torch.inference_mode()
def test_renoised(parts, canvases, merge):
    settings = ReadSettings(**STEPS, merge=merge, read="attention_and_noise", bias_guidance=3)
    found = PhraseReader(parts, settings).read(canvases, [PHRASES, PHRASES[:1]])
    plain = PlainReading(parts, settings)
    for canvas, row, phrases in zip(canvases, found, [PHRASES, PHRASES[:1]], strict=True):
        for raw, phrase in zip(row, phrases, strict=True):
            tokens = TOKENS[phrase.text]
            maps, norms = plain.image_maps(canvas, phrase.text)
            close(raw.attention, plain.mean(maps, tokens))
            close(raw.noise, norms[slice(*settings.window)].mean(0))
            if merge == "off":
                assert raw.product is None
                assert raw.text_bias is None
                continue
            image_bias, text_bias, product = plain.biases(maps, plain.text_maps(phrase.text), tokens)
            close(raw.image_bias, image_bias)
            close(raw.text_bias, text_bias)
            close(raw.product, product)


@torch.inference_mode()
def test_inverted_with_chosen_layers_each_map_stretched(parts, canvases):
    settings = ReadSettings(
        steps=6, window=(2, 4), rows=4, noise="inversion", spacing="trailing", layers=(1, 3, 5), normalise=True
    ).with_changes(read="attention_and_noise")
    found = PhraseReader(parts, settings).read(canvases, [PHRASES, PHRASES[1:]])
    plain = PlainReading(parts, settings)
    for canvas, row, phrases in zip(canvases, found, [PHRASES, PHRASES[1:]], strict=True):
        for raw, phrase in zip(row, phrases, strict=True):
            maps, norms = plain.inverted_maps(canvas, phrase.text)
            close(raw.attention, plain.mean(maps, TOKENS[phrase.text]))
            close(raw.noise, norms[slice(*settings.window)].mean(0))


@pytest.mark.parametrize(("prediction", "factor"), [("v_prediction", "sqrt_a"), ("sample", "ratio")])
@torch.inference_mode()
def test_the_noise_difference_is_one_of_noise_whatever_the_unet_predicts(canvases, prediction, factor):
    parts = tiny_diffusion.parts("vae")
    scheduler = tiny_diffusion.scheduler(prediction_type=prediction)
    object.__setattr__(parts, "scheduler", scheduler)
    settings = ReadSettings(steps=4, window=(0, 4), read="noise_difference")
    ((raw,),) = PhraseReader(parts, settings).read(canvases[:1], [PHRASES[:1]])
    plain = PlainReading(parts, settings)
    _, norms = plain.image_maps(canvases[0], PHRASES[0].text)
    times = [751, 501, 251, 1]
    a = scheduler.alphas_cumprod[times].view(-1, 1, 1)
    scale = a.sqrt() if factor == "sqrt_a" else (a / (1 - a)).sqrt()
    close(raw.noise, (norms * scale).mean(0))


def test_no_pass_that_is_thrown_away(parts, canvases):
    """One pass a phrase and step of the window; one more a step to compare with; no guidance but for the text bias."""

    def passes(phrases=PHRASES, **changes):
        reader = PhraseReader(parts, ReadSettings(**STEPS).with_changes(**changes))
        reader.read(canvases[:1], [phrases])
        once = reader.passes
        reader.read(canvases[:1], [phrases])
        return once, reader.passes - once

    assert passes() == (2 * 3, 2 * 3)
    assert passes(read="noise_difference") == (3 * 3, 3 * 3)
    assert passes(merge="matmul") == (2 * 4 + 2 * 2 * 4, 2 * 4)  # the text bias is known the second time
    assert passes(noise="inversion") == (3 * 1 + 3 * 2, 9)  # the step above the window is not gone to
    assert passes(phrases=[]) == (0, 0)
