"""The trial of each system, by the class of its recipe; a system that is not here is looked at without one.

One that is added is added to ``Tried`` (expectation.py) too, with the keys that make its step smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from knowmvg.training.coordinates.recipe import PfmvgRecipe
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


def _coordinates(recipe: PfmvgRecipe, parts: Path) -> Trial | None:
    from knowmvg.training.coordinates.workplace import open_workplace
    from knowmvg.training.doctor.coordinates_trial import try_out_coordinates

    return try_out_coordinates(open_workplace(recipe, parts, lambda _: None))


TRIALS: dict[type[RunPart], Callable[[Any, Path], Trial | None]] = {
    Recipe: _prompted,
    DiffusionRecipe: _diffusion,
    PfmvgRecipe: _coordinates,
}
"""A recipe and the folder of shared parts to what its trial found, ``None`` where it trains nothing; ``KnowmvgError``
where a part cannot be built."""
