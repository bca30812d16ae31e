"""The trial of each system, by the class of its recipe; a system that is not here is looked at without one.

One that is added is added to ``Tried`` (expectation.py) too, with the keys that make its step smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.doctor.trial_result import Trial
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.recipe_parts import RunPart


def _prompted(recipe: Recipe, parts: Path) -> Trial:
    from knowmvg.training.doctor.trial import try_out
    from knowmvg.training.prompted.workplace import open_workplace

    return try_out(open_workplace(recipe, parts, lambda _: None))


def _diffusion(recipe: DiffusionRecipe, parts: Path) -> Trial:
    from knowmvg.training.diffusion.workplace import open_workplace
    from knowmvg.training.doctor.diffusion_trial import try_out_diffusion  # diffusers takes seconds to import

    return try_out_diffusion(open_workplace(recipe, parts, lambda _: None))


TRIALS: dict[type[RunPart], Callable[[Any, Path], Trial]] = {Recipe: _prompted, DiffusionRecipe: _diffusion}
"""A recipe and the folder of shared parts to what its trial found; ``KnowmvgError`` where a part cannot be built."""
