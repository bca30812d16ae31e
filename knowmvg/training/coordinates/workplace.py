"""Where a run of PFMVG works: its recipe, its studies, and the folders of the parts that runs share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from knowmvg.core.errors import RecipeError
from knowmvg.sources.manifest import read_rows
from knowmvg.training.coordinates.recipe import PfmvgRecipe
from knowmvg.training.coordinates.sizes import ScratchPart
from knowmvg.training.hardware import device_of, processes
from knowmvg.training.shared_parts import SharingWorkplace
from knowmvg.training.studies import Report, open_studies


@dataclass(frozen=True, slots=True)
class Workplace(SharingWorkplace[PfmvgRecipe, ScratchPart]):
    """The recipe, the folder of shared parts, the studies, and where to compute."""

    def held_out(self) -> set[str]:
        """The patients whose studies are in the splits val and test of the recipe's data set."""
        return {row.patient for row in read_rows(self.studies.folder) if row.split != "train"}


def open_workplace(recipe: PfmvgRecipe, parts: Path, report: Report) -> Workplace:
    """The workplace of a recipe.

    Raises:
        RecipeError: a GPU that is asked for and not there, several processes, or a precision for ``train``.
        ManifestError, LeakError: studies that cannot be trained on.
    """
    if processes().world > 1:
        raise RecipeError("one process", f"{processes().world} of torchrun", "Start it without torchrun.")
    if recipe.machine.precision != "fp32" or recipe.machine.deepspeed is not None:
        todo = "Leave both out; the precision of a published model is base.dtype."
        raise RecipeError("machine.precision fp32 without deepspeed", "another machine", todo)
    device = device_of(recipe.machine)
    studies = open_studies(recipe.data, recipe.validation_studies, parts, report)
    return Workplace(recipe, parts, studies, device, report)
