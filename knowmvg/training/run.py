"""``knowmvg train``: a recipe from nothing to a saved grounder, one stage after the other, each kept and resumable.

``runs/parts/<stage>-<key>`` holds what runs share: the key is a hash of everything that the stage depends on, so an
ablation's rows use one image encoder and one language model. ``runs/<name>`` holds the run itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import distributed

from knowmvg.core.errors import OutputError
from knowmvg.training.coordinates.recipe import PfmvgRecipe
from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.hardware import described, processes
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.prompted.run import train_prompted
from knowmvg.training.recipe import read_recipe, write_recipe
from knowmvg.training.studies import Report


def train(recipe_path: Path, overrides: Sequence[str] = (), runs: Path = Path("runs"), report: Report = print) -> Path:
    """Run a recipe; a run that was interrupted goes on where it stopped.

    Returns the run's folder: ``model/`` (a grounder folder), ``recipe.yaml`` (resolved), ``run.json`` (facts).

    Raises:
        RecipeError, ManifestError, LeakError: see those.
        OutputError: the run's folder cannot be made.
        Stopped: interrupted after saving a checkpoint.
    """
    recipe = read_recipe(recipe_path, overrides)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    folder = runs / recipe.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = f"{error.strerror} at {folder}"
        raise OutputError("a folder for the run", got, "Name another with --runs.") from error
    if processes().main:
        write_recipe(recipe, folder / "recipe.yaml")
    else:
        report = _silent
    report(f"machine: {described(recipe.machine)}")
    try:
        if isinstance(recipe, DiffusionRecipe):
            from knowmvg.training.diffusion.run import train_diffusion  # diffusers takes seconds to import

            train_diffusion(recipe, folder, runs / "parts", report)
        elif isinstance(recipe, PfmvgRecipe):
            from knowmvg.training.coordinates.run import train_coordinates

            train_coordinates(recipe, folder, runs / "parts", report)
        else:
            assert isinstance(recipe, Recipe)  # the other system
            train_prompted(recipe, folder, runs / "parts", report)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
    report(f"saved {folder / 'model'}")
    return folder


def _silent(line: str) -> None:
    """The report of every process but the main one."""
