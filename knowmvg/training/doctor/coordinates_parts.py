"""What a PFMVG of CPU size is made of before its own stages, as it is drawn; the cost of what is not trained yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from knowmvg.training.coordinates import language, vision
from knowmvg.training.coordinates.drawn_parts import FIRST, drawn_language, drawn_vision, save_joined
from knowmvg.training.coordinates.masks import MaskedImages, classes_of, keep
from knowmvg.training.coordinates.small_parts import base_folder, language_folder, masked, vision_folder
from knowmvg.training.coordinates.workplace import Workplace
from knowmvg.training.doctor.measuring import measured_stage, size_of
from knowmvg.training.doctor.trial_result import Stage
from knowmvg.training.memory import highest_memory

IMAGES = 16  # images with their masks that the vision encoder is shown
DRAWS = 40  # batches of texts, to find a long one


class SmallBase(NamedTuple):
    """The folder of a model of CPU size, its stages that are not done, and bytes on disk while its parts learn."""

    folder: Path
    stages: Sequence[Stage]
    disk: int


def small_base(work: Workplace, place: Workplace) -> SmallBase:
    """The model before stage 1: as it lies among the shared parts, or as it is drawn.

    Args:
        work: where training would work; nothing is made there.
        place: the same with a folder of parts of its own.
    """
    done = work.parts / base_folder(place).name / "model"
    if (done / "config.json").is_file():
        return SmallBase(done, (), 0)
    task, images, seeing, disk = _vision(place)
    writing = drawn_language(place)
    save_joined(
        place, task.tower, writing.tokenizer, writing.task.llama, vision.state_spread(task, images), place.parts / "new"
    )
    stages = list[Stage]()
    if (work.parts / vision_folder(place).name / "tower" / "config.json").is_file():
        disk = 0
    else:
        stages.append(seeing)
    if not (work.parts / language_folder(place).name / "model" / "config.json").is_file():
        batches = [writing.task.collate([writing.drawn[i]]) for i in range(min(DRAWS, len(writing.drawn)))]
        stages.append(_language(place, writing.task.float(), batches))
    return SmallBase(place.parts / "new", stages, disk)


def _vision(place: Workplace) -> tuple[vision.PatchTask, MaskedImages, Stage, int]:
    """The vision encoder, a sample of what it learns from, its stage, and bytes of its images on disk."""
    recipe, part = place.recipe, place.scratch.vision
    data, train, valid = masked(place)
    classes = classes_of(train)
    keep(place.parts, data, train[:: max(1, len(train) // IMAGES)][:IMAGES], classes, part, recipe.fit, place.report)
    images, made = MaskedImages(place.parts, classes, part), list[vision.PatchTask]()
    begun = highest_memory(lambda: made.append(drawn_vision(place, images)), torch.device("cpu"))
    (task,) = made
    drawn = vision.ImageBatches(len(images), recipe.parts_seed, 1, part.schedule.batch)[0]
    stage = measured_stage("vision", task, task.collate([drawn]), vision.WEIGHTS, part.schedule)
    held = size_of(task).stored
    beginning = held + (begun - held) * min(FIRST, len(train)) // len(images)
    bytes_an_image = part.side**2 + -(-len(classes) * (part.grid * part.cells) ** 2 // 8)
    disk = bytes_an_image * (len(train) + len(valid))
    return task, images, replace(stage, memory=max(stage.memory, beginning)), disk


def _language(place: Workplace, task: language.WritingTask, batches: Sequence[dict[str, torch.Tensor]]) -> Stage:
    """Seconds of a batch of usual length, memory of the longest."""
    pace, sizes = place.scratch.language.schedule, sorted(batches, key=lambda batch: batch["input_ids"].numel())
    usual, longest = (
        measured_stage("language", task, batch, language.WEIGHTS, pace) for batch in (sizes[len(sizes) // 2], sizes[-1])
    )
    return replace(usual, memory=longest.memory)
