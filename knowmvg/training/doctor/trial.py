"""The grounder of a recipe, tried before it is trained: built, shown a few studies, taught a step, and measured.

Nothing is pre-trained for it. Weights that a run would train first are as they are drawn: memory and time do not depend
on them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from knowmvg.core.errors import ManifestError
from knowmvg.grounders.prompted.batch import Example
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.segmenters.load import LoadedSam
from knowmvg.sources.manifest import StudyRow, load_study
from knowmvg.training.cache import FeatureCache
from knowmvg.training.doctor.answers import box_marks, left_out
from knowmvg.training.doctor.growth import BatchSize, Growth
from knowmvg.training.doctor.measuring import gradients_of, measured_stage, size_of
from knowmvg.training.doctor.measuring import sampled as sampled_studies
from knowmvg.training.doctor.training_step import TrainingStep
from knowmvg.training.doctor.trial_result import PartSize, Stage, Trial
from knowmvg.training.hardware import device_of
from knowmvg.training.memory import free_memory, highest_memory
from knowmvg.training.prompted.frozen_parts import (
    blank_segmenter,
    classes_of,
    fitting_sam,
    image_features,
    image_tokens,
    prompted_images,
)
from knowmvg.training.prompted.grounding import DrawnBatch, DrawnBatches, GroundingTask
from knowmvg.training.prompted.language import LanguageTask, SpokenBatches
from knowmvg.training.prompted.language_parts import backbone_of, blank_language, words
from knowmvg.training.prompted.model import assembled, own_graph
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.prompted.segmenter import WEIGHTS, SegmenterTask, collate_prompted
from knowmvg.training.prompted.workplace import Workplace

SAMPLE = 64  # training studies whose reports and boxes are counted
DRAWS = 40  # batches that are drawn from them, to find a large one


def try_out(work: Workplace) -> Trial:
    """Build the grounder of a recipe and teach it a few steps, on the CPU or the GPU that training would use.

    Raises ``KnowmvgError`` where a part cannot be built.
    """
    recipe = work.recipe
    with tempfile.TemporaryDirectory() as folder:
        studies = sampled_studies(work.studies, SAMPLE)
        sampled = replace(work, parts=Path(folder), studies=studies, report=lambda _: None)
        graph = own_graph(recipe, Path(folder) / "private")
        tokenizer, built = words(sampled)
        language = blank_language(recipe, tokenizer) if recipe.speaks_itself else None
        classes = [] if recipe.sam is not None else classes_of(work)
        segmenter: SegmenterTask | LoadedSam = (
            blank_segmenter(recipe, classes) if recipe.sam is None else fitting_sam(recipe, recipe.sam)
        )
        stages = _shared_stages(work, language, tokenizer, segmenter, classes)
        features, stage = _features(work, sampled, segmenter)
        stages += stage
        backbone = backbone_of(recipe)
        tokens = None if backbone is None or backbone.pictures is None else image_tokens(sampled, backbone)
        grounder = assembled(
            sampled, tokenizer, graph or built, None if language is None else language.cpu(), segmenter, backbone
        )
        grounder.model.to(device_of(recipe.machine))
        return _tried(work, sampled, grounder, features, tokens, stages)


def _shared_stages(
    work: Workplace, language: Any, tokenizer: Any, segmenter: SegmenterTask | LoadedSam, classes: Sequence[str]
) -> list[Stage]:
    """The stages that come before, one step each; a stage that is done costs nothing."""
    recipe, stages = work.recipe, []
    if language is not None and not (work.folder("language") / "language.safetensors").is_file():
        schedule = recipe.language.schedule
        task = LanguageTask(language, tokenizer)
        batch = SpokenBatches(recipe.parts_seed, 1, schedule.batch)[0]
        stages.append(measured_stage("language", task, task.collate(batch), {"text": 1.0}, schedule))
    if isinstance(segmenter, SegmenterTask) and not (work.folder("segmenter") / "segmenter.safetensors").is_file():
        schedule = recipe.segmenter.schedule
        images = prompted_images(work, classes)
        batch_of_images = collate_prompted([images[i] for i in range(schedule.batch)])
        stages.append(measured_stage("segmenter", segmenter, batch_of_images, WEIGHTS, schedule))
    return stages


def _features(
    work: Workplace, sampled: Workplace, segmenter: SegmenterTask | LoadedSam
) -> tuple[FeatureCache, list[Stage]]:
    """The features of the sample, and what those of all studies will take where they are not cached yet."""
    made: list[FeatureCache] = []
    started = time.perf_counter()
    taken = highest_memory(lambda: made.append(image_features(sampled, segmenter)), torch.device("cpu"))
    seconds = time.perf_counter() - started
    if (work.folder("features") / "images.json").is_file():
        return made[0], []
    held = sum(p.numel() * p.element_size() for p in segmenter.encoder.parameters())
    studies = len(work.studies.train) + len(work.studies.valid)
    return made[0], [Stage("features", studies, seconds / len(sampled.studies.train), held + taken)]


def _tried(
    work: Workplace,
    sampled: Workplace,
    grounder: PromptedGrounder,
    features: FeatureCache,
    tokens: FeatureCache | None,
    before: list[Stage],
) -> Trial:
    recipe, folder, device = work.recipe, work.studies.folder, grounder.device
    examples = [_example(grounder, folder, row) for row in sampled.studies.train]
    task = GroundingTask(
        grounder, features, 0, tokens, recipe.objective.of_model()
    )  # both branches of the attention from the first step
    step = TrainingStep(task, recipe.losses, recipe.train.clip)
    drawn = [_on(device, task.collate([one])) for one in _drawn(recipe, examples)]
    probes = [_on(device, task.collate([one])) for one in _probes(recipe, examples)]
    loss = step.gradients(probes[-1])
    untaught, broken = gradients_of(grounder.trainable(), lambda name: name.split(".")[0])
    step.update()  # the optimizer's own numbers are made in it
    sizes = [_size(batch) for batch in probes]
    growth = Growth.fitted(sizes, [highest_memory(partial(step.gradients, batch), device) for batch in probes])
    updating = step.updating(device)
    parts = _parts(grounder)
    largest = max(map(_size, drawn), key=growth.of)
    held = sum(part.stored for part in parts.values()) + step.kept
    memory = held + max(growth.of(largest), updating)
    fits = memory < free_memory(device)
    seconds = _mean_seconds(step, task, drawn[0] if fits else probes[0], recipe) * (1 if fits else recipe.train.batch)
    return Trial(
        parts=parts,
        stages=(*before, Stage("train", recipe.train.steps, seconds * recipe.train.accumulate, memory)),
        growth=growth,
        largest=largest,
        updating=updating,
        kept_by_optimizer=step.kept,
        cached=sum(2 * cache([examples[0].id]).numel() for cache in (features, tokens) if cache is not None),
        studies=len(work.studies.train) + len(work.studies.valid),
        loss=loss,
        untaught=untaught,
        broken=broken,
        checks=(
            box_marks(all(one.answer.count(grounder.tokenizer.box) == len(one.boxes) for one in examples)),
            *left_out(sum(example.left_out for example in examples)),
        ),
    )


def _mean_seconds(step: TrainingStep, task: GroundingTask, batch: dict[str, Any], recipe: Recipe) -> float:
    """Seconds of a step, as a mean over those with one branch of the attention and those with both."""

    def measured(local_steps: int) -> float:
        task.local_steps = local_steps
        started = time.perf_counter()
        step(batch)
        return time.perf_counter() - started

    share = recipe.local_steps / recipe.train.steps
    alone = measured(sys.maxsize) if share else 0.0
    return share * alone + (1 - share) * measured(0)


def _example(grounder: PromptedGrounder, folder: Path, row: StudyRow) -> Example:
    return grounder.example(load_study(folder, row, masks=True)).without_canvas()


def _drawn(recipe: Recipe, examples: Sequence[Example]) -> list[DrawnBatch]:
    batches = DrawnBatches(examples, recipe.seed, DRAWS, recipe.train.batch, recipe.spoken)
    return [batches[index] for index in range(len(batches))]


def _probes(recipe: Recipe, examples: Sequence[Example]) -> list[DrawnBatch]:
    """Batches of one and of two studies, with few boxes and with many."""
    by_boxes = sorted((one for one in examples if len(one.boxes)), key=lambda one: len(one.boxes))
    if not by_boxes:
        todo = "Give a data set whose training split has boxes."
        raise ManifestError("labelled boxes in the training split", "none in a sample of it", todo)
    spoken = SpokenBatches(recipe.seed + 1, 1, 2 * recipe.spoken)[0] if recipe.spoken else []
    chosen = [by_boxes[:1], by_boxes[-1:], by_boxes[:2], by_boxes[-2:]]
    return [(part, spoken[: len(part) * recipe.spoken]) for part in chosen]


def _on(device: torch.device, batch: dict[str, Any]) -> dict[str, Any]:
    spoken = batch["spoken"]
    moved = None if spoken is None else {name: tensor.to(device) for name, tensor in spoken.items()}
    return {"batch": batch["batch"].to(device), "spoken": moved}


def _size(batch: Mapping[str, Any]) -> BatchSize:
    spoken = 0 if batch["spoken"] is None else batch["spoken"]["input_ids"].numel()
    return BatchSize(batch["batch"].input_ids.numel() + spoken, len(batch["batch"].boxes))


def _parts(grounder: PromptedGrounder) -> dict[str, PartSize]:
    """The model's parts as figure 2 of the paper draws them."""
    return {name: size_of(part) for name, part in grounder.model.named_children()}
