"""What a run folder holds, for the commands that come after training."""

from __future__ import annotations

from pathlib import Path

from knowmvg.core.errors import ModelError, OutputError, RecipeError
from knowmvg.grounders.hub import hub_id, model_path


def model_folder(run: Path) -> Path:
    """The model in a run folder, the folder itself where it is a model's, or that of a hub id.

    Raises:
        ModelError: none of these.
    """
    given = model_path(run)
    for folder in (given, given / "model"):
        if (folder / "config.json").is_file():
            return folder
    raise ModelError(
        "a run folder with a trained model", f"no config.json in {run} or {run / 'model'}", "Train it: knowmvg train."
    )


def result_folder(run: Path, given: Path | None, name: str) -> Path:
    """The folder that was given for results, or else ``RUN/name``.

    Raises:
        OutputError: none was given for a model of the hub, which has no folder of the user's.
    """
    if given is None and hub_id(run) is not None:
        raise OutputError("a folder for the results", f"no --out with the hub id {run}", "Give one with --out.")
    return given or run / name


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
