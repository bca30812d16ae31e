"""What a run folder holds, for the commands that come after training."""

from __future__ import annotations

from pathlib import Path

from knowmvg.core.errors import OutputError, RecipeError
from knowmvg.grounders.hub import hub_id, missing_model, model_path
from knowmvg.grounders.shipped import shipped_model


def model_folder(run: Path) -> Path:
    """The model in a run folder, the folder itself where it is a model's, or that of a shipped one or a hub id.

    Raises:
        ModelError: none of these.
    """
    folder = model_path(run)
    if not (folder / "config.json").is_file():
        raise missing_model(folder)
    return folder


def result_folder(run: Path, given: Path | None, name: str) -> Path:
    """The folder that was given for results, or else ``RUN/name``.

    Raises:
        OutputError: none was given for a model of the hub or a shipped one, which has no folder of the user's, or it is
            a file.
    """
    if given is None and (hub_id(run) is not None or shipped_model(run) is not None):
        whose = "hub id" if hub_id(run) is not None else "shipped model"
        raise OutputError("a folder for the results", f"no --out with the {whose} {run}", "Give one with --out.")
    target = given or run / name
    check_folder(target)
    return target


def check_folder(out: Path) -> None:
    """Make sure, before any work is done, that ``out`` is no file. Raises ``OutputError`` for one."""
    if out.exists() and not out.is_dir():
        raise OutputError("a folder for the results", f"a file at {out}", "Give another path.")


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
