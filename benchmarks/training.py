"""What training gains from the feature cache, and how near `knowmvg doctor` comes to the memory that it takes.

    python benchmarks/training.py --json out.json

``cached_step_speedup``: one training step of KnowMVG (knowledge prompts, global-local attention, the box decoder of
SAM's size, the CPU-size language model) is timed twice, from reading the study to the optimizer's step: with image
features read from the cache on disk, and with SAM ViT-B run on the 1024-pixel canvas in each step, as augmentation
needs it. Everything else is the same; the SAM has the real class and size with random weights, loaded from a folder as
a published one is. One thread, one study a step; the two kinds of step alternate, and their medians are compared.

``memory_estimate_error``: how far the doctor's estimate is from the memory of a whole run, as a share, the greatest of
two systems at two sizes (benchmarks/doctor.py); ``memory_estimate`` has the bytes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from doctor import CASES, STUDIES, Case, memory_estimate  # benchmarks/doctor.py
from torch.optim import AdamW
from transformers import SamConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from knowmvg.grounders.prompted.batch import Example
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.prompted.variants import ModelConfig, adjacency_of, build_model, knowmvg
from knowmvg.grounders.segmenters.load import LoadedSam, load_sam
from knowmvg.grounders.segmenters.record import SamPart
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.nn.image_encoder import ImageEncoderConfig
from knowmvg.nn.language_model import LanguageModel, LanguageModelConfig
from knowmvg.sources.manifest import StudyRow, load_study, read_rows
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training.cache import FeatureCache, cached_features
from knowmvg.training.prompted.grounding import GroundingTask

SEED = 20
WEIGHTS = {"text": 1.0, "box_l1": 1.0, "box_giou": 1.0, "mask_bce": 1.0, "mask_dice": 0.5, "knowledge": 0.1}


def saved_sam(folder: Path, vision: dict[str, int]) -> Path:
    """A SAM of transformers' class with random weights; ViT-B at 1024 pixels where nothing else is said."""
    torch.manual_seed(SEED)
    encoder = SamVisionConfig(**vision)
    prompts = SamPromptEncoderConfig(image_size=encoder.image_size, patch_size=encoder.patch_size)
    SamModel(SamConfig(vision_config=encoder, prompt_encoder_config=prompts)).save_pretrained(folder)
    return folder


def grounder_on(sam: LoadedSam, rows: list[StudyRow]) -> PromptedGrounder:
    """KnowMVG on a SAM, with a vocabulary and a graph of these studies."""
    graph = build_graph((phrase.phrase() for row in rows for phrase in row.phrases), load_atlas())
    tokenizer = GroundingTokenizer.train([*(row.report for row in rows), *graph.texts], 64, 2000)
    prompts = sam.prompts
    language = LanguageModelConfig(
        len(tokenizer), image_channels=prompts.channels, image_grid=prompts.grid, image_token_id=tokenizer.image
    )
    encoder = ImageEncoderConfig(canvas=prompts.canvas, channels=prompts.channels)
    config = ModelConfig(language, encoder, prompts, knowmvg(mask_from="branch"))
    torch.manual_seed(SEED)
    nodes, adjacency = torch.randn(len(graph.texts), language.width), adjacency_of(graph, config.variant)
    model = build_model(config, nodes, adjacency, sam.encoder, sam.segmenter, LanguageModel(language))
    return PromptedGrounder(model, config, tokenizer, graph, "benchmark")


def timed_steps(
    task: GroundingTask, examples: Callable[[int], Example], steps: list[int], optimizer: AdamW
) -> list[float]:
    """Seconds of whole steps, of one study each."""
    taken = []
    for index in steps:
        begun = time.perf_counter()
        terms = task(**task.collate([([examples(index)], [])]))
        torch.stack([WEIGHTS[name] * value for name, value in terms.items() if name in WEIGHTS]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        taken.append(time.perf_counter() - begun)
    return taken


def cached_step(work: Path, rounds: int, vision: dict[str, int]) -> dict[str, Any]:
    """Seconds of a step with and without the cache, and their ratio."""
    data = work / "data"
    write_dataset(data, studies=12, seed=SEED, size=256, splits=(0.8, 0.1, 0.1))
    rows = [row for row in read_rows(data) if row.phrases][:2]
    sam = load_sam(SamPart(id=str(saved_sam(work / "sam", vision))))
    grounder = grounder_on(sam, rows)
    side = sam.prompts.canvas
    begun = time.perf_counter()
    cache: FeatureCache = cached_features(
        work / "store", work / "images.json", data, rows, sam.encoder, "benchmark", side, print, workers=1
    )
    filling = time.perf_counter() - begun
    task = GroundingTask(grounder, cache).train()
    optimizer = AdamW(grounder.trainable().values(), lr=1e-4)
    ready = [grounder.example(load_study(data, row, masks=True)).without_canvas() for row in rows]

    def read(index: int) -> Example:
        return grounder.example(load_study(data, rows[index % len(rows)], masks=True))

    def kept(index: int) -> Example:
        return ready[index % len(rows)]

    timed_steps(task, kept, [0], optimizer)  # whatever is set up on the first step
    fast: list[float] = []
    slow: list[float] = []
    for index in range(rounds):
        fast += timed_steps(task, kept, [index, index + 1], optimizer)
        slow += timed_steps(task, read, [index], optimizer)
    with_cache, without = statistics.median(fast), statistics.median(slow)
    return {
        "cached_step_speedup": without / with_cache,
        "cached_step_seconds": with_cache,
        "uncached_step_seconds": without,
        "cache_seconds_an_image": filling / len(rows),
        "cache_bytes_an_image": int(np.load(cache.places[rows[0].id]).nbytes),
    }


def measure(
    work: Path,
    rounds: int,
    vision: dict[str, int],
    cases: Mapping[str, Case] = CASES,
    studies: int = STUDIES,
) -> dict[str, Any]:
    """Every figure; the SAM, the recipes and their sizes are others in a test."""
    return cached_step(work, rounds, vision) | memory_estimate(cases, studies)


def main() -> None:
    """Reads the arguments, measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2, help="uncached steps; two cached ones beside each")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="training-") as work:
        result = measure(Path(work), arguments.rounds, {})
    for name, value in result.items():
        print(f"{name:28}{value:.3f}" if isinstance(value, float) else f"{name:28}{value}")
    if arguments.json is not None:
        partial = arguments.json.with_name(arguments.json.name + ".partial")
        partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        partial.replace(arguments.json)


if __name__ == "__main__":
    main()
