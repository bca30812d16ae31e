"""``knowmvg train``: a recipe to a run folder."""

from __future__ import annotations

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
            help="Values that replace the recipe's: seed=1 train.steps=500.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a model by a recipe; a run that was broken off is taken up again.

    Unknown keys and wrong types are refused before anything starts.
    """
    from knowmvg.training.run import train as train_recipe

    run = train_recipe(recipe, overrides or [])
    console.show_written([run], f"knowmvg evaluate {run}")
