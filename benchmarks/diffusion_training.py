"""What training a CPU-size diffusion model costs: ``python benchmarks/diffusion_training.py --json OUT``.

Seconds of processor time a step of each stage of a recipe (``--recipe``), drawing the batch included, median of 5 after
2 to warm up, on one thread: processor time is the same whatever else the machine does. ``minutes_one_core`` is what the
recipe's own numbers of steps come to; simulating and reading images and validating are apart
(``benchmarks/phantom.py``, ``benchmarks/images.py``).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.grounders.diffusion.text import TextRecipe
from knowmvg.nn.diffusion.latents import VaeLatents
from knowmvg.sources.manifest import read_rows
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training.diffusion.autoencoder import AutoencoderTask, small_autoencoder
from knowmvg.training.diffusion.canvases import CanvasBatches, cache_canvases
from knowmvg.training.diffusion.captions import CaptionDraw, Captioned
from knowmvg.training.diffusion.denoising import DenoisingTask, DrawnLatents
from knowmvg.training.diffusion.latents import cache_latents
from knowmvg.training.diffusion.noise import scheduler_of
from knowmvg.training.diffusion.reading import Labels, ReadingBatches
from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.diffusion.text_encoder import TERMS, ReadingTask, small_bert, train_tokenizer
from knowmvg.training.diffusion.unet import small_unet
from knowmvg.training.recipe import read_recipe_of

WARM_UP, ROUNDS, STUDIES = 2, 5, 40
RECIPE = Path(__file__).parents[1] / "recipes" / "diffusion-demo.yaml"


def step_seconds(
    task: nn.Module, draw: Callable[[int], Any], weights: dict[str, float], after: Callable[[], None] = lambda: None
) -> float:
    """Median processor seconds of an optimizer step."""
    optimizer = torch.optim.AdamW([p for p in task.parameters() if p.requires_grad], lr=1e-4, fused=True)
    times = []
    for number in range(WARM_UP + ROUNDS):
        start = time.process_time()
        optimizer.zero_grad()
        terms = task(**draw(number))
        torch.stack([weights[name] * terms[name] for name in weights]).sum().backward()
        nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        after()
        times.append(time.process_time() - start)
    return median(times[WARM_UP:])


def measure(recipe: DiffusionRecipe, folder: Path) -> dict[str, Any]:
    """Seconds a step of each stage, and what they come to."""
    sizes = recipe.scratch
    if sizes is None:
        raise SystemExit("expected a recipe with `scratch`")
    write_dataset(folder / "data", studies=STUDIES, seed=0, workers=1, splits=(1.0, 0.0, 0.0))
    rows, count = list(read_rows(folder / "data")), WARM_UP + ROUNDS
    tokenizer = train_tokenizer((row.report for row in rows), sizes.text.vocabulary, recipe.encoding.max_tokens)
    bert = small_bert(sizes.text, len(tokenizer), recipe.encoding.max_tokens)
    reading = ReadingTask(bert, tokenizer, Labels.of(rows), 0)
    texts = ReadingBatches(rows, 0, count, sizes.text.schedule.batch)
    seconds = {"text": step_seconds(reading, lambda i: reading.collate([texts[i]]), TERMS)}

    images = cache_canvases(folder / "i.npy", folder / "data", rows, sizes.side, recipe.read.fit, print)
    copying = AutoencoderTask(small_autoencoder(sizes.autoencoder, sizes.side))
    drawn = CanvasBatches(images, 0, count, sizes.autoencoder.schedule.batch)
    kl = {"image": 1.0, "kl": sizes.autoencoder.kl}
    seconds["autoencoder"] = step_seconds(copying, lambda i: copying.collate([drawn[i]]), kl)

    unet = small_unet(sizes.unet, sizes.cells, sizes.autoencoder.channels, sizes.text.width)
    frozen = bert.requires_grad_(False).eval(), VaeLatents(copying.autoencoder, sizes.cells)
    text = TextRecipe(**recipe.encoding.model_dump())
    parts = DiffusionParts(tokenizer, frozen[0], unet, frozen[1], scheduler_of(recipe.noise), text)
    cache = cache_latents(folder / "l.npy", [row.id for row in rows], lambda: images, frozen[1], "cpu", print)
    task = DenoisingTask(parts, recipe.noise, recipe.ema.decay)
    captions = CaptionDraw(recipe.captions.kinds, recipe.captions.dropout)
    studies = [(row.id, Captioned.of(row)) for row in rows]
    batches = DrawnLatents(studies, cache, captions, recipe.noise, 0, count, recipe.train.batch)
    terms = {"denoising": 1.0}
    seconds["train"] = step_seconds(task, lambda i: task.collate([batches[i]]), terms, task.mean.update)
    steps = {
        "text": sizes.text.schedule.steps,
        "autoencoder": sizes.autoencoder.schedule.steps,
        "train": recipe.train.steps,
    }
    return {
        "s_step": {name: round(value, 3) for name, value in seconds.items()},
        "steps": steps,
        "minutes_one_core": {name: round(seconds[name] * steps[name] / 60, 1) for name in steps},
        "million_weights": {
            name: round(sum(np.prod(p.shape) for p in module.parameters()) / 1e6, 2)
            for name, module in (("text", bert), ("autoencoder", copying), ("train", unet))
        },
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="a recipe with `scratch`")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(read_recipe_of(DiffusionRecipe, asked.recipe), Path(folder))
    asked.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
