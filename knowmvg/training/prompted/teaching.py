"""The last stage: a joined grounder is taught to name phrases and place them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from knowmvg.grounders.prompted.batch import Example
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.nn.global_local_attention import GlobalLocalAttention
from knowmvg.sources.manifest import StudyRow, load_study
from knowmvg.training.augmentation.images import augmented
from knowmvg.training.augmentation.part import AugmentPart
from knowmvg.training.cache import FeatureCache
from knowmvg.training.deepspeed import in_parts
from knowmvg.training.hardware import batches_a_process
from knowmvg.training.prompted.grounding import FIGURES, AugmentedBatches, DrawnBatches, GroundingTask, validate
from knowmvg.training.prompted.workplace import Workplace
from knowmvg.training.trainer import fit


def teach(
    work: Workplace, grounder: PromptedGrounder, features: FeatureCache, tokens: FeatureCache | None, folder: Path
) -> dict[str, float]:
    """Teach a grounder, with checkpoints in ``folder``; it is left as the best of them. Returns its validation."""
    recipe, studies = work.recipe, work.studies
    work.report("train: reading labels")
    examples = [_example(grounder, studies.folder, row) for row in studies.train]
    held_out = [_example(grounder, studies.folder, row) for row in studies.valid]
    if left_out := sum(example.left_out for example in examples):
        cut = sum(example.cut > 0 for example in examples)
        work.report(f"train: {left_out} phrases left out for their length, {cut} reports cut at their end")
    batch = recipe.train.batch
    schedule = recipe.train.model_copy(update={"batch": 1})  # an item of the data set is a batch already
    length = schedule.steps * schedule.accumulate
    draws = DrawnBatches(examples, recipe.seed, length, batch, recipe.spoken)
    if recipe.augment is not None:
        redrawn = partial(_redrawn, grounder, studies.folder, studies.train, recipe.augment)
        draws = AugmentedBatches(examples, recipe.seed, length, batch, recipe.spoken, redrawn)
    local_steps = recipe.local_steps * batches_a_process(recipe.train)
    alike = recipe.machine.deepspeed is not None  # one process alone may be without a box
    task = GroundingTask(grounder, features, local_steps, tokens, recipe.objective.of_model(), alike)

    def check(model: nn.Module) -> dict[str, float]:
        return validate(task, held_out, recipe.validation_batch, None if model is task else model)

    facts = fit(
        task,
        draws,
        task.collate,
        schedule,
        recipe.losses,
        folder,
        stage="train",
        seed=recipe.seed,
        report=work.report,
        validate=check,
        best="miou",
        machine=recipe.machine,
        beta2=recipe.train.beta2,
    )
    grounder.model.eval()
    if isinstance(grounder.model.attention, GlobalLocalAttention):
        grounder.model.attention.joined = True
    return {name: facts[name] for name in FIGURES} if in_parts(recipe.machine) else check(task)


def _example(grounder: PromptedGrounder, folder: Path, row: StudyRow) -> Example:
    return grounder.example(load_study(folder, row, masks=True)).without_canvas()


def _redrawn(
    grounder: PromptedGrounder,
    folder: Path,
    rows: Sequence[StudyRow],
    part: AugmentPart,
    index: int,
    rng: np.random.Generator,
) -> Example:
    return grounder.example(augmented(load_study(folder, rows[index], masks=True), part, rng))
