"""``knowmvg card``: a trained and evaluated run to its model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowmvg.interfaces.cli import console


def card(
    run: Annotated[Path, typer.Argument(help="A run folder that `knowmvg train` wrote.", show_default=False)],
    evaluation: Annotated[
        Path | None,
        typer.Option(help="Folder that `knowmvg evaluate` wrote.", show_default="RUN/evaluation-test"),
    ] = None,
) -> None:
    """Write the model card of a run, RUN/model/README.md: figures, training data, times, versions, limits.

    Every figure comes from the run's own files; a run that was not evaluated gets no card.
    """
    from knowmvg.training.card import write_card  # torch takes seconds to import

    path = write_card(run, evaluation)
    console.show_written([path], f"knowmvg ground IMAGE --report FILE --model {path.parent} --out out")
