"""What the trials of every system measure alike: sizes of parts, and the cost of a stage that comes before."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from knowmvg.training.doctor.training_step import TrainingStep
from knowmvg.training.doctor.trial_result import PartSize, Stage
from knowmvg.training.memory import highest_memory
from knowmvg.training.recipe_parts import Schedule


def size_of(part: nn.Module) -> PartSize:
    """A part's parameters, those of them that are trained, and the bytes of all, buffers included."""
    held = list(part.parameters())
    stored = sum(t.numel() * t.element_size() for t in [*held, *part.buffers()])
    return PartSize(sum(p.numel() for p in held), sum(p.numel() for p in held if p.requires_grad), stored)


def measured_stage(
    name: str, task: nn.Module, batch: dict[str, Any], weights: Mapping[str, float], pace: Schedule
) -> Stage:
    """A stage by one of its steps, on the CPU."""
    step = TrainingStep(task, weights, pace.clip)
    step(batch)  # warms up; the optimizer's own numbers are made in it
    taken = highest_memory(lambda: step(batch), torch.device("cpu"))
    started = time.perf_counter()
    step(batch)
    seconds = time.perf_counter() - started
    held = sum(p.numel() * p.element_size() for p in task.parameters()) + step.kept
    task.zero_grad(set_to_none=True)
    return Stage(name, pace.steps, seconds * pace.accumulate, held + taken)
