"""What a run folder holds, for the commands that come after training."""

from __future__ import annotations

from pathlib import Path

from knowmvg.core.errors import ModelError, RecipeError


def model_folder(run: Path) -> Path:
    """The model in a run folder, or the folder itself where it is a model's.

    Raises:
        ModelError: neither.
    """
    for folder in (run, run / "model"):
        if (folder / "config.json").is_file():
            return folder
    raise ModelError(
        "a run folder with a trained model", f"no config.json in {run} or {run / 'model'}", "Train it: knowmvg train."
    )


def data_folder(run: Path, given: Path | None) -> Path:
    """The data set that was given, or else the one that the run was trained on.

    Raises:
        RecipeError: none was given and the run does not say.
    """
    if given is not None:
        return given
    recipe = run / "recipe.yaml"
    if not recipe.is_file():
        raise RecipeError("a data set", f"no --data, and no recipe.yaml in {run}", "Name one with --data.")
    from knowmvg.training.recipe import read_recipe  # torch takes seconds to import

    return read_recipe(recipe).data.folder
