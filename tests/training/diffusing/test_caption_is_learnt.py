"""A UNet that is given captions learns to use them, and one whose captions are all dropped cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tiny_recipe import TINY

from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.text import TextRecipe
from knowmvg.nn.diffusion.latents import UnshuffledLatents
from knowmvg.training.diffusion.captions import CaptionDraw, Captioned
from knowmvg.training.diffusion.denoising import DenoisingTask, DrawnLatents, validate
from knowmvg.training.diffusion.latents import cache_latents
from knowmvg.training.diffusion.noise import scheduler_of
from knowmvg.training.diffusion.recipe import NoisePart, TextPart, UnetPart
from knowmvg.training.diffusion.text_encoder import small_bert, train_tokenizer
from knowmvg.training.diffusion.unet import small_unet
from knowmvg.training.recipe_parts import Schedule
from knowmvg.training.trainer import fit

NOISE = NoisePart(prediction="v_prediction", zero_terminal_snr=True, times=(0.9, 1.0))
SIDES = ("left", "right")


def learnt(folder: Path, dropout: float) -> dict[str, float]:
    """Images that are bright on the side that the caption names, under so much noise that only the caption tells."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(SIDES, 60, 8)
    bert = small_bert(TextPart(width=16, layers=1), len(tokenizer), 8).requires_grad_(False).eval()
    unet = small_unet(UnetPart(widths=(16,), attention=(True,), heads=1), 4, 1, 16)
    text = TextRecipe(**{**TINY["encoding"], "max_tokens": 8})
    parts = DiffusionParts(tokenizer, bert, unet, UnshuffledLatents(4, [0.5], [0.5]), scheduler_of(NOISE), text)
    images = np.zeros((2, 4, 4), dtype=np.uint8)
    images[0, :, 2:] = images[1, :, :2] = 255
    cache = cache_latents(folder / "l.npy", SIDES, lambda: images, parts.latents, "cpu", lambda _: None)
    studies = [(name, Captioned((name,), "", "")) for name in SIDES]
    schedule = Schedule(steps=40, batch=1, lr=1e-2, warmup=5, checkpoint=40)
    drawn = DrawnLatents(studies, cache, CaptionDraw({"phrase": 1.0}, dropout), NOISE, 0, 40, 8)
    task = DenoisingTask(parts, NOISE, 0.8)
    weights = {"denoising": 1.0}
    fit(
        task, drawn, task.collate, schedule, weights, folder / "run",
        stage="test", seed=0, report=lambda _: None, after_step=task.mean.update,
    )  # fmt: skip
    held_out = DrawnLatents(studies, cache, CaptionDraw({"phrase": 1.0}, 0.0), NOISE, 1, 4, 2)
    return validate(task, [held_out[i] for i in range(4)])


def test_the_caption_tells_what_the_noise_hides(tmp_path: Path) -> None:
    figures = learnt(tmp_path, 0.1)
    assert figures["worth"] > 0.2
    assert figures["loss"] < figures["empty"]


def test_without_captions_nothing_is_learnt_of_them(tmp_path: Path) -> None:
    figures = learnt(tmp_path, 0.999)
    assert abs(figures["worth"]) < 0.05
