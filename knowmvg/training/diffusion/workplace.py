"""Where a diffusion run works: its recipe, its studies, and the folders of the parts that runs share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from knowmvg.core.errors import RecipeError
from knowmvg.sources.manifest import StudyRow
from knowmvg.training.deepspeed import in_parts
from knowmvg.training.diffusion.recipe import DiffusionRecipe, ScratchPart
from knowmvg.training.hardware import device_of
from knowmvg.training.shared_parts import shared_folder
from knowmvg.training.studies import Report, TrainingStudies, open_studies


@dataclass(frozen=True, slots=True)
class Workplace:
    """The recipe, the folder of shared parts, the studies, and where to compute."""

    recipe: DiffusionRecipe
    parts: Path
    studies: TrainingStudies
    device: torch.device
    report: Report

    @property
    def rows(self) -> list[StudyRow]:
        """The rows whose images are read: those of training, then those of validation."""
        return [*self.studies.train, *self.studies.valid]

    @property
    def scratch(self) -> ScratchPart:
        """The sizes of a model that is trained from nothing. Raises ``RecipeError`` for a recipe with a base."""
        if self.recipe.scratch is None:
            raise RecipeError("scratch", "a recipe with a base", "Leave the base out.")
        return self.recipe.scratch

    def folder(self, stage: str, *depends: object) -> Path:
        """The folder of a shared stage, named by a hash of the data set and of what the stage depends on."""
        folder = shared_folder(self.parts, stage, self.studies.fingerprint, self.recipe.parts_seed, *depends)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


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
