"""Where a diffusion run works: its recipe, its studies, and the folders of the parts that runs share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from knowmvg.core.errors import RecipeError
from knowmvg.sources.manifest import StudyRow
from knowmvg.training.deepspeed import in_parts
from knowmvg.training.diffusion.recipe import DiffusionRecipe, ScratchPart
from knowmvg.training.hardware import device_of
from knowmvg.training.shared_parts import SharingWorkplace
from knowmvg.training.studies import Report, open_studies


@dataclass(frozen=True, slots=True)
class Workplace(SharingWorkplace[DiffusionRecipe, ScratchPart]):
    """The recipe, the folder of shared parts, the studies, and where to compute."""

    @property
    def rows(self) -> list[StudyRow]:
        """The rows whose images are read: those of training, then those of validation."""
        return [*self.studies.train, *self.studies.valid]


def open_workplace(recipe: DiffusionRecipe, parts: Path, report: Report) -> Workplace:
    """The workplace of a recipe.

    Raises:
        RecipeError: a GPU that is asked for and not there, or several; ZeRO-3.
        ManifestError, LeakError: studies that cannot be trained on.
    """
    device = device_of(recipe.machine)
    if in_parts(recipe.machine):  # the moving averages of the weights are kept and saved whole
        todo = "Use recipes/deepspeed/zero2.json, or machine.deepspeed=null."
        raise RecipeError("ZeRO stage 1 or 2 for a diffusion model", f"stage 3 in {recipe.machine.deepspeed}", todo)
    return Workplace(recipe, parts, open_studies(recipe.data, recipe.validation_studies, parts, report), device, report)
