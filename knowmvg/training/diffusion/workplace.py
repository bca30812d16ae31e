"""Where a diffusion run works: its recipe, its data, and the folders of the parts that runs share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from knowmvg.core.errors import RecipeError
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training.diffusion.recipe import DiffusionRecipe, ScratchPart
from knowmvg.training.leaks import refuse_leaks
from knowmvg.training.run import _divided, _every, _manifest_sha256

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Workplace:
    """The recipe, the folder of shared parts, the rows of the data set, and where to compute."""

    recipe: DiffusionRecipe
    parts: Path
    train: list[StudyRow]
    valid: list[StudyRow]
    fingerprint: str
    device: str
    report: Report

    @property
    def rows(self) -> list[StudyRow]:
        """The rows whose images are read: those of training, then those of validation."""
        return [*self.train, *self.valid]

    @property
    def scratch(self) -> ScratchPart:
        """The sizes of a model that is trained from nothing. Raises ``RecipeError`` for a recipe with a base."""
        if self.recipe.scratch is None:
            raise RecipeError("scratch", "a recipe with a base", "Leave the base out.")
        return self.recipe.scratch

    def folder(self, stage: str, *depends: object) -> Path:
        """The folder of a shared stage, named by a hash of the data set and of what the stage depends on."""
        text = json.dumps([stage, self.fingerprint, self.recipe.parts_seed, *depends], sort_keys=True, default=str)
        folder = self.parts / f"{stage}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def open_workplace(recipe: DiffusionRecipe, parts: Path, report: Report) -> Workplace:
    """The workplace of a recipe; its data set is simulated where it is missing and checked for leaks.

    Raises:
        RecipeError: a GPU that is asked for and not there.
        ManifestError, LeakError: a data set that cannot be trained on.
    """
    gpu = torch.cuda.is_available()
    if not gpu and (recipe.device == "cuda" or recipe.precision == "bfloat16"):
        raise RecipeError("a GPU that torch can use", "none", "Use device=cpu precision=float32.")
    device = "cuda" if gpu and recipe.device != "cpu" else "cpu"
    data = recipe.data
    if not (data.folder / "manifest.jsonl").is_file():
        report(f"data: simulating {data.studies} studies into {data.folder}")
        write_dataset(
            data.folder,
            studies=data.studies,
            seed=data.seed,
            size=data.size,
            splits=data.splits,
            progress=_every(report, 1000),
        )
    train_rows, valid_rows = _divided(data.folder)
    fingerprint = _manifest_sha256(data.folder)
    refuse_leaks(data.folder, parts / f"leaks-{fingerprint[:12]}.json", report, allowed=data.allow_leaks)
    return Workplace(recipe, parts, train_rows, valid_rows[: recipe.validation_studies], fingerprint, device, report)
