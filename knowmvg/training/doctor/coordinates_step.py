"""A stage of PFMVG by some of its steps: memory up to its largest batch, seconds, gradients."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.grounders.coordinates.tuning import answer_loss
from knowmvg.training.coordinates.both_stages import stage_of
from knowmvg.training.coordinates.lessons import Lessons
from knowmvg.training.coordinates.recipe import CosinePart
from knowmvg.training.coordinates.stage import Stage as TaughtStage
from knowmvg.training.coordinates.tokens import FreshTokens, Shown
from knowmvg.training.coordinates.workplace import Workplace
from knowmvg.training.doctor.growth import BatchSize, Growth
from knowmvg.training.doctor.measuring import gradients_of, growth_by_doubling, size_of
from knowmvg.training.doctor.training_step import TrainingStep
from knowmvg.training.doctor.trial_result import Stage
from knowmvg.training.memory import free_memory

LONG = 8  # batches among which the longest is looked for

Section = Literal["caption", "grounding"]
NAMES: dict[Section, str] = {"caption": "reports", "grounding": "boxes"}
"""Sections of the recipe and the stages that they pace."""


class OwnStage(NamedTuple):
    """A stage of the model's own; the names are those of ``trial_result.Trial``, ``trained`` are parameters."""

    section: Section
    cost: Stage
    growth: Growth
    largest: BatchSize
    updating: int
    kept: int
    loss: float
    trained: frozenset[str]
    untaught: Sequence[str]
    broken: Sequence[str]


class AnswerTask(nn.Module):
    """The loss of a stage's answers, of items by their numbers."""

    def __init__(self, stage: TaughtStage) -> None:
        super().__init__()
        self.vlm, self._stage = stage.loaded.vlm, stage

    def forward(self, items: Sequence[int]) -> dict[str, Tensor]:
        """The one loss term, of the batch of these items."""
        return {"answers": answer_loss(self.vlm, self._stage.batch_of(items, Random(0)))}


class RememberedTokens:
    """Tokens of images in half precision, each looked at once: what ``KeptTokens`` has on disk."""

    def __init__(self, loaded: SpeakingBackbone) -> None:
        self._look, self._seen = FreshTokens(loaded), dict[tuple[Path, str], Tensor]()

    def __call__(self, images: Sequence[Shown]) -> Tensor:
        """Single precision, on the CPU."""
        for folder, row, frame in images:
            if (folder, row.id) not in self._seen:
                self._seen[folder, row.id] = self._look([(folder, row, frame)])[0].half().cpu()
        return torch.stack([self._seen[folder, row.id] for folder, row, _ in images]).float()


def tried_stage(work: Workplace, loaded: SpeakingBackbone, lessons: Lessons, section: Section) -> OwnStage:
    """A stage by a few steps on batches as its first epoch has them; the model is left as it was but for rounding."""
    recipe, device, pace = work.recipe, work.device, _pace(work, section)
    look = RememberedTokens(loaded) if recipe.keep_tokens else FreshTokens(loaded)
    language = recipe.base is None and section == "caption"
    stage = stage_of(work, loaded, lessons, pace, look, language=language)
    told = sorted(stage.batches(0), key=lambda items: len(items) * max(lessons.lengths[item] for item in items))
    longest = max(told[-LONG:], key=lambda items: _size(loaded, lessons, items).tokens)
    whole = [items for items in told if len(items) == len(longest)]
    usual = whole[len(whole) // 2]
    for items in (longest, usual):
        look([lessons.pair(item, Random(0))[0] for item in items])
    step = TrainingStep(AnswerTask(stage), {"answers": 1.0}, pace.clip)
    loss = step.gradients({"items": longest[-2:]})
    untaught, broken = gradients_of(stage.parameters, part_of)
    step.update()  # the optimizer's own numbers are made in it
    updating = step.updating(device)
    growth = growth_by_doubling(
        lambda count: step.gradients({"items": longest[-count:]}),
        lambda count: _size(loaded, lessons, longest[-count:]),
        len(longest),
        device,
    )
    largest = _size(loaded, lessons, longest)
    memory = size_of(loaded.vlm).stored + step.kept + max(growth.of(largest), updating)
    timed, times = (usual, 1.0) if memory < free_memory(device) else (usual[:1], float(len(usual)))
    started = time.perf_counter()
    step({"items": timed})
    seconds = (time.perf_counter() - started) * times
    step.task.zero_grad(set_to_none=True)
    cost = Stage(NAMES[section], stage.steps, seconds, memory)
    trained = frozenset(stage.parameters)
    return OwnStage(section, cost, growth, largest, updating, step.kept, loss, trained, untaught, broken)


def part_of(name: str) -> str:
    """The part of the model that a parameter or buffer of this name belongs to."""
    if ".lora_" in name:
        return f"adapters of {name.partition('.lora_')[0].rpartition('.')[2]}"
    known = {"vision_tower": "vision encoder", "multi_modal_projector": "projection"}
    known |= {"embed_tokens": "embedding", "lm_head": "output layer"}
    return next((part for key, part in known.items() if key in name.split(".")), "language model")


def lengths_of(loaded: SpeakingBackbone, lessons: Lessons, items: Sequence[int]) -> list[int]:
    """Tokens of each conversation, its image and its end included."""
    random = Random(0)
    pairs = [lessons.pair(item, random)[1] for item in items]
    return [sum(map(len, loaded.conversation.written(pair.question, pair.answer))) for pair in pairs]


def _size(loaded: SpeakingBackbone, lessons: Lessons, items: Sequence[int]) -> BatchSize:
    """The padded size of the batch of some items, as ``Teacher`` makes it."""
    return BatchSize(len(items) * min(max(lengths_of(loaded, lessons, items)), loaded.part.max_length), 0)


def _pace(work: Workplace, section: Section) -> CosinePart:
    return work.recipe.caption if section == "caption" else work.recipe.grounding
