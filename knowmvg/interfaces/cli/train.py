"""``knowmvg train``: a recipe to a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from knowmvg.interfaces.cli import console


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, a YAML file (see recipes/).", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Values that replace the recipe's: name=mine seed=1 train.steps=500.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs and of the parts that they share.")] = Path("runs"),
) -> None:
    """Train a model by a recipe; a run that was broken off goes on where it stopped.

    Unknown keys and wrong types are refused before anything starts. The run's folder, RUNS/NAME, holds the model, the
    resolved recipe and what it took.
    """
    run = train_recipe(recipe, overrides or [], runs)
    if os.environ.get("RANK", "0") != "0":  # of the processes that torchrun started one tells
        return
    files = [run / name for name in ("model", "recipe.yaml", "run.json")]
    console.show_written(files, f"knowmvg evaluate {run}")


def train_recipe(recipe: Path, overrides: list[str], runs: Path) -> Path:
    """Train with progress on standard error and return the run's folder.

    Raises:
        KeyboardInterrupt: a training that was asked to stop has saved a checkpoint.
    """
    from knowmvg.training import run as training  # torch takes seconds to import
    from knowmvg.training.trainer import Stopped

    try:
        return training.train(recipe, overrides, runs, report=tell)
    except Stopped as stopped:
        tell(str(stopped))
        raise KeyboardInterrupt from stopped


def tell(line: str) -> None:
    """A line of progress."""
    console.err().print(line, markup=False, soft_wrap=True)
