"""What validating a PFMVG on its way takes: answers are written token by token, whose keys and values are kept."""

from __future__ import annotations

import time
from functools import partial

from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.load import convention_of
from knowmvg.training.coordinates.run import task_of
from knowmvg.training.coordinates.validation import validate
from knowmvg.training.coordinates.workplace import Workplace
from knowmvg.training.doctor.measuring import size_of
from knowmvg.training.doctor.trial_result import Stage
from knowmvg.training.memory import highest_memory


def validation_stage(work: Workplace, loaded: SpeakingBackbone, steps: int, beside: int) -> Stage:
    """All validations of stage 2, by one batch of studies.

    A model that has learnt nothing writes as many boxes as it may: seconds and memory are an upper bound.

    Args:
        work: whose validation studies are asked about.
        loaded: the model.
        steps: of the stage; 0 where it is left out, and the model validated once.
        beside: bytes that training keeps meanwhile: gradients and the optimizer's numbers.
    """
    recipe, rows, batch = work.recipe, work.studies.valid, CoordinateGrounder.batch_size
    every = recipe.grounding.validate_ or max(1, steps)
    rounds = max(1, -(-steps // every)) * -(-len(rows) // batch)
    task = task_of(recipe, convention_of(loaded.part)[0], ())
    asked = partial(validate, loaded, task, work.studies.folder, rows[:batch])
    started = time.perf_counter()
    asked()
    seconds = time.perf_counter() - started
    return Stage(
        "validation", rounds, seconds, size_of(loaded.vlm).stored + beside + highest_memory(asked, work.device)
    )
