"""What a run will take, and what to change where it does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from knowmvg.grounders.backbones.record import BackbonePart
from knowmvg.training.coordinates.recipe import CosinePart, PfmvgRecipe
from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.doctor.finding import Finding, Level
from knowmvg.training.doctor.software import GIB, free_disk
from knowmvg.training.doctor.trial_result import Trial
from knowmvg.training.hardware import device_of
from knowmvg.training.memory import free_memory
from knowmvg.training.prompted.recipe import Recipe

Tried: TypeAlias = Recipe | DiffusionRecipe | PfmvgRecipe  # recipes that a trial is made of
CHECKPOINTS = 3  # the last two, and the next while it is written
ROOM = 0.9  # share of a device's memory that a run should plan with: allocators leave holes


def look_at_trial(trial: Trial) -> Iterator[Finding]:
    """Whether the model learns at all: what its system is asked alone, gradients, the loss."""
    yield from trial.checks
    if trial.untaught or trial.broken:
        for name in trial.untaught:
            yield Finding(Level.PROBLEM, "gradient", f"none reaches {name}", "Give a loss term that teaches it.")
        for name in trial.broken[:3]:
            todo = f"Lower {trial.section}.lr, or use float32."
            yield Finding(Level.PROBLEM, "gradient", f"that of {name} is not finite", todo)
    else:
        yield Finding(Level.OK, "gradient", f"reaches every trained part; the first loss is {trial.loss:.3f}")


def look_at_cost(trial: Trial, recipe: Tried, parts: Path) -> Iterator[Finding]:
    """Memory, minutes and disk against what this machine has."""
    memory = max(stage.memory for stage in trial.stages)
    free = free_memory(device_of(recipe.machine))
    most = max(trial.stages, key=lambda stage: stage.memory).name
    said = f"{size(memory)} at its highest ({most}), beside the programme itself; {size(free)} are free"
    if memory > ROOM * free:
        todo = f"A step of its own fits: lower batch or sizes of {most}, if it has any."
        if trial.memory() > ROOM * free:
            todo = fitting(trial, recipe, free)
        yield Finding(Level.PROBLEM, "memory", said, todo)
    else:
        yield Finding(Level.OK, "memory", said)
    minutes = sum(stage.steps * stage.seconds for stage in trial.stages) / 60
    each = ", ".join(f"{s.name} {s.steps:,} x {s.seconds:.2f} s" for s in trial.stages)
    beside = "" if any(stage.name == "validation" for stage in trial.stages) else ", and validations beside it"
    yield Finding(Level.OK, "time", f"about {minutes:,.0f} minutes ({each}){beside}")
    disk, free = needed_disk(trial), free_disk(parts)
    said = f"about {size(disk)} for cached features, checkpoints and the model; {size(free)} are free"
    if disk > free:
        yield Finding(Level.PROBLEM, "disk", said, "Make room, or name another folder with --runs.")
    else:
        yield Finding(Level.OK, "disk", said)


def size(number: int) -> str:
    """Bytes in MiB or GiB."""
    return f"{number / GIB:,.1f} GiB" if number >= GIB else f"{number / 2**20:,.0f} MiB"


def needed_disk(trial: Trial) -> int:
    """Bytes that a run writes: features of its studies, checkpoints with the optimizer's numbers, the model."""
    trained = sum(part.trained for part in trial.parts.values())
    model = sum(part.stored for name, part in trial.parts.items())
    return trial.cached * trial.studies + CHECKPOINTS * (4 * trained + trial.kept_by_optimizer) + model


def fitting(trial: Trial, recipe: Tried, room: int) -> str:
    """What to change so that a step fits in ``room`` bytes: the least harmful first."""
    key, pace = trial.section, getattr(recipe, trial.section)
    batch, frugal = pace.batch, _frugal(recipe)
    smaller = [size for size in range(batch - 1, 0, -1) if batch % size == 0]
    fits = next((size for size in smaller if trial.memory(size / batch) <= ROOM * room), None)
    if isinstance(pace, CosinePart):  # it adds no batches up
        if fits is not None:
            first = f"{' '.join(frugal)}, or " if frugal else ""
            return f"Set {first}{key}.batch={fits}: steps of fewer pairs, so lower {key}.lr with it."
        steps = [f"{key}.batch=1", *frugal]
    elif fits is not None:
        accumulate = pace.accumulate * batch // fits
        return f"Set {key}.batch={fits} {key}.accumulate={accumulate}: the same steps in less memory."
    else:
        steps = [f"{key}.batch=1 {key}.accumulate={pace.accumulate * batch}", *frugal]
    return f"Set {' '.join(steps)}; if that is not enough, take a smaller base (docs/scaling.md)."


def _frugal(recipe: Tried) -> list[str]:
    """Keys that make a step take less memory whatever its batch, and are not set yet."""
    if isinstance(recipe, DiffusionRecipe):
        adapters = ["lora={rank: 16}"] if recipe.base is not None and recipe.lora is None else []
        return [*([] if recipe.save_memory else ["save_memory=true"]), *adapters]
    if isinstance(recipe, PfmvgRecipe):
        return _frugal_base("base", recipe.base)
    return _frugal_base("language_model", recipe.language_model)


def _frugal_base(key: str, base: BackbonePart | None) -> list[str]:
    if base is None:
        return []
    precise = [f"{key}.dtype=bfloat16"] if base.dtype == "float32" else []
    return [*([] if base.checkpointing else [f"{key}.checkpointing=true"]), *precise]


def on_card(trial: Trial, recipe: Tried, gib: float) -> Finding:
    """Whether the last stage fits on a card of so many GiB, and what to change if not."""
    needed = trial.memory()
    said = f"a step takes {size(needed)} of {gib:g} GiB"
    if needed <= ROOM * gib * GIB:
        return Finding(Level.OK, "card", said)
    return Finding(Level.WARNING, "card", said, fitting(trial, recipe, int(gib * GIB)))
