"""A diffusion recipe tried before it is trained: built, shown a few studies, taught a step, and measured.

Nothing is pre-trained for it: text encoder, autoencoder and UNet of a model from scratch are as they are drawn. Of a
base the published weights are loaded, as training would.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from knowmvg.grounders.diffusion.parts import DiffusionParts
from knowmvg.nn.diffusion.latents import Latents, VaeLatents
from knowmvg.training.diffusion.autoencoder import AutoencoderTask, small_autoencoder
from knowmvg.training.diffusion.canvases import Bytes, as_tensor, read_canvases
from knowmvg.training.diffusion.captions import CaptionDraw
from knowmvg.training.diffusion.denoising import DenoisingTask, DrawnLatents
from knowmvg.training.diffusion.latents import LatentCache, cache_latents
from knowmvg.training.diffusion.noise import scheduler_of
from knowmvg.training.diffusion.reading import Labels, ReadingBatches
from knowmvg.training.diffusion.run import IMAGES, captioned, encoding_of, published
from knowmvg.training.diffusion.small_parts import autoencoder_folder, text_folder
from knowmvg.training.diffusion.text_encoder import TERMS, ReadingTask, small_bert, train_tokenizer
from knowmvg.training.diffusion.unet import small_unet
from knowmvg.training.diffusion.workplace import Workplace
from knowmvg.training.doctor.growth import BatchSize
from knowmvg.training.doctor.measuring import gradients_of, growth_by_doubling, measured_stage, size_of
from knowmvg.training.doctor.measuring import sampled as sampled_studies
from knowmvg.training.doctor.training_step import TrainingStep
from knowmvg.training.doctor.trial_result import PartSize, Stage, Trial
from knowmvg.training.memory import free_memory, highest_memory

SAMPLE = 8  # training studies whose images and captions are drawn


def try_out_diffusion(work: Workplace) -> Trial:
    """Build the diffusion model of a recipe and teach it a few steps, where training would compute.

    Raises ``KnowmvgError`` where a part cannot be built.
    """
    recipe = work.recipe
    with tempfile.TemporaryDirectory() as folder:
        studies = sampled_studies(work.studies, SAMPLE)
        sampled = replace(work, parts=Path(folder), studies=studies, report=lambda _: None)
        if recipe.base is None:
            model, stages = _blank(work, sampled)
        else:
            model, stages = published(sampled, recipe.base)[0], []
        latents, stage = _latents(work, sampled, model)
        return _tried(work, sampled, model, latents, [*stages, stage])


def _images(sampled: Workplace, side: int) -> Bytes:
    rows, fit = sampled.studies.train, sampled.recipe.read.fit
    return np.stack(list(read_canvases(sampled.studies.folder, rows, side, fit)))


def _blank(work: Workplace, sampled: Workplace) -> tuple[DiffusionParts, list[Stage]]:
    """A model of CPU size before it has seen anything, and its stages that are not done, one step each."""
    recipe, sizes, stages = work.recipe, work.scratch, list[Stage]()
    rows, seed = sampled.studies.train, recipe.parts_seed
    texts = [text for row in work.studies.train for text in (row.report, *(phrase.text for phrase in row.phrases))]
    tokenizer = train_tokenizer(texts, sizes.text.vocabulary, recipe.encoding.max_tokens)
    torch.manual_seed(seed)
    bert = small_bert(sizes.text, len(tokenizer), recipe.encoding.max_tokens)
    vae = small_autoencoder(sizes.autoencoder, sizes.side)
    unet = small_unet(sizes.unet, sizes.cells, sizes.autoencoder.channels, sizes.text.width)
    if not (work.parts / text_folder(sampled).name / "encoder" / "config.json").is_file():
        pace = sizes.text.schedule
        reading = ReadingTask(bert, tokenizer, Labels.of(rows), seed)
        read = reading.collate([ReadingBatches(rows, seed, 1, pace.batch)[0]])
        stages.append(measured_stage("text", reading, read, TERMS, pace))
    if not (work.parts / autoencoder_folder(sampled).name / "vae" / "config.json").is_file():
        pace, images = sizes.autoencoder.schedule, _images(sampled, sizes.side)
        batch = {"images": as_tensor(images[np.arange(pace.batch) % len(images)])}
        weights = {"image": 1.0, "kl": sizes.autoencoder.kl}
        stages.append(measured_stage("autoencoder", AutoencoderTask(vae), batch, weights, pace))
    bert, vae = bert.requires_grad_(False).eval(), vae.requires_grad_(False).eval()
    scheduler = scheduler_of(recipe.noise)
    return DiffusionParts(tokenizer, bert, unet, VaeLatents(vae, sizes.cells), scheduler, encoding_of(recipe)), stages


def _latents(work: Workplace, sampled: Workplace, model: DiffusionParts) -> tuple[LatentCache, Stage]:
    """The latents of the sample, and what those of all studies will take."""
    rows, made = sampled.studies.train, list[LatentCache]()
    images, path = _images(sampled, model.latents.side), sampled.parts / "latents.npy"

    def fill(count: int, to: Path) -> LatentCache:
        ids = [row.id for row in rows[:count]]
        return cache_latents(to, ids, lambda: images, model.latents, work.device, lambda _: None, batch=1)

    taken = highest_memory(lambda: fill(1, sampled.parts / "one.npy"), work.device)
    started = time.perf_counter()
    made.append(fill(len(rows), path))
    seconds = (time.perf_counter() - started) / len(rows)
    studies, at_once = len(work.studies.train) + len(work.studies.valid), work.recipe.machine.cache_batch or IMAGES
    held = _frozen(model.latents).stored
    return made[0], Stage("latents", studies, seconds, held + taken * min(at_once, studies))


def _tried(
    work: Workplace, sampled: Workplace, model: DiffusionParts, latents: LatentCache, before: Iterable[Stage]
) -> Trial:
    recipe, device = work.recipe, work.device
    if recipe.save_memory:
        model.unet.enable_gradient_checkpointing()
    task = DenoisingTask(model.to(device), recipe.noise, recipe.ema.decay).to(device)
    step = TrainingStep(task, {"denoising": 1.0}, recipe.train.clip)
    caption = CaptionDraw(recipe.captions.kinds, recipe.captions.dropout)

    def drawn(batch: int, count: int) -> list[dict[str, Any]]:
        studies = captioned(sampled.studies.train)
        batches = DrawnLatents(studies, latents, caption, recipe.noise, recipe.seed, count, batch)
        return [_on(device, task.collate([batches[i]])) for i in range(count)]

    (two,) = drawn(2, 1)
    loss = step.gradients(two)
    trained = {name: p for name, p in task.unet.named_parameters() if p.requires_grad}
    untaught, broken = gradients_of(trained, _part)
    step.update()  # the optimizer's own numbers are made in it
    updating = step.updating(device)
    parts = {
        "unet": size_of(task.unet),
        "text_encoder": size_of(model.text_encoder),
        "vae": _frozen(model.latents),
        "running mean": size_of(task.mean),
    }
    largest, held = BatchSize(recipe.train.batch, 0), sum(part.stored for part in parts.values()) + step.kept
    growth = growth_by_doubling(
        lambda batch: step.gradients(drawn(batch, 1)[0]), lambda batch: BatchSize(batch, 0), recipe.train.batch, device
    )
    memory = held + max(growth.of(largest), updating)
    fits = memory < free_memory(device)
    timed, times = (drawn(recipe.train.batch, 1)[0], 1) if fits else (two, recipe.train.batch / 2)
    started = time.perf_counter()
    step(timed)
    task.mean.update()
    seconds = (time.perf_counter() - started) * times * recipe.train.accumulate
    return Trial(
        parts=parts,
        stages=(*before, Stage("train", recipe.train.steps, seconds, memory)),
        growth=growth,
        largest=largest,
        updating=updating,
        kept_by_optimizer=step.kept,
        cached=2 * 2 * int(np.prod(latents.shape)),  # mean and deviation in half precision
        studies=len(work.studies.train) + len(work.studies.valid),
        loss=loss,
        untaught=untaught,
        broken=broken,
    )


def _on(device: torch.device, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}


def _frozen(latents: Latents) -> PartSize:
    """The autoencoder's size; latents without weights have none."""
    return size_of(latents) if isinstance(latents, nn.Module) else PartSize(0, 0, 0)


def _part(name: str) -> str:
    """The part of the UNet that a parameter belongs to."""
    return f"unet.{name.split('.')[0]}"
