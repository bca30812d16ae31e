"""What the trials of every system measure alike: sizes of parts, and the cost of a stage that comes before."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from knowmvg.training.doctor.growth import BatchSize, Growth
from knowmvg.training.doctor.training_step import TrainingStep
from knowmvg.training.doctor.trial_result import PartSize, Stage
from knowmvg.training.memory import free_memory, highest_memory
from knowmvg.training.recipe_parts import Schedule
from knowmvg.training.studies import TrainingStudies

SAFE = 3  # times what half the batch took must be free, for a batch to be tried


def sampled(studies: TrainingStudies, count: int) -> TrainingStudies:
    """The same data set with so many training studies at most, evenly from all of them, and none to validate on."""
    rows = studies.train
    return TrainingStudies(studies.folder, rows[:: max(1, len(rows) // count)][:count], [], studies.fingerprint)


def size_of(part: nn.Module) -> PartSize:
    """A part's parameters, those of them that are trained, and the bytes of all, buffers included."""
    held = list(part.parameters())
    stored = sum(t.numel() * t.element_size() for t in [*held, *part.buffers()])
    return PartSize(sum(p.numel() for p in held), sum(p.numel() for p in held if p.requires_grad), stored)


def gradients_of(trained: Mapping[str, nn.Parameter], part: Callable[[str], str]) -> tuple[list[str], list[str]]:
    """Parts of which no parameter has a gradient, and parameters whose gradient is not finite.

    Args:
        trained: parameters by name, behind a backward pass.
        part: the part that a parameter of this name belongs to.
    """
    taught = {part(name) for name, p in trained.items() if p.grad is not None}
    broken = [name for name, p in trained.items() if p.grad is not None and not p.grad.isfinite().all()]
    return sorted({part(name) for name in trained} - taught), broken


def growth_by_doubling(
    gradients: Callable[[int], object], size: Callable[[int], BatchSize], batch: int, device: torch.device
) -> Growth:
    """Memory by the size of a batch, of doubled numbers up to ``batch`` as far as the next should fit: the last two.

    A small batch does not tell: what its activations take is less than the gradients, which come when those are gone.

    Args:
        gradients: a forward and backward pass on so many items.
        size: of a batch of so many.
        batch: items of a whole one.
        device: where it is computed.
    """
    tried = list[tuple[int, int]]()
    for count in [*(2**k for k in range(batch.bit_length()) if 2**k < batch), batch]:
        if tried and SAFE * tried[-1][1] > free_memory(device):
            break
        tried.append((count, highest_memory(partial(gradients, count), device)))
    last = tried[-2:]
    return Growth.fitted([size(count) for count, _ in last], [taken for _, taken in last])


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
