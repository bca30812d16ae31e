"""``knowmvg doctor``: what a recipe's run needs and whether it would learn, before it is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from knowmvg.core.errors import OutputError
from knowmvg.core.records import DISCLAIMER
from knowmvg.interfaces.cli import console

if TYPE_CHECKING:
    from knowmvg.training.doctor.finding import Finding
    from knowmvg.training.doctor.trial_result import Trial

STYLES = {"ok": "green", "note": "dim", "warning": "bold yellow", "problem": "bold red"}


def doctor(
    recipe: Annotated[Path, typer.Argument(help="A recipe, a YAML file (see recipes/).", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Values that replace the recipe's.", show_default=False),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs and of the parts that they share.")] = Path("runs"),
    card: Annotated[
        float | None, typer.Option(min=1, help="Also say what fits on a card of so many GiB.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON file for the result.", show_default="none is written")
    ] = None,
) -> None:
    """Look at all that a training depends on before it is started: data, leaks, tokens, gradients, memory, time, disk.

    The model is built and taught a few steps on samples of the data; nothing of a run is made. Ends with exit code 1
    when something would stop or spoil the run.
    """
    from knowmvg.training.doctor.diagnosis import diagnose  # torch takes seconds to import
    from knowmvg.training.doctor.expectation import Tried, on_card
    from knowmvg.training.recipe import read_recipe

    read = read_recipe(recipe, overrides or [])
    if out is not None and out.is_dir():
        raise OutputError("a JSON file to write", f"a folder at {out}", "Give another --out.")
    diagnosis = diagnose(read, runs, _tell)
    if diagnosis.trial is not None:
        _show_parts(diagnosis.trial)
        if card is not None and isinstance(read, Tried):
            _tell(on_card(diagnosis.trial, read, card))
    if out is not None:
        from knowmvg.sources.whole_files import write_lines

        write_lines(out, [json.dumps(diagnosis.to_dict(), indent=2)])
    console.out().print(Text(DISCLAIMER, "dim"))
    if not diagnosis.healthy:
        raise typer.Exit(1)
    command = " ".join(["knowmvg train", str(recipe), *(overrides or [])])
    console.out().print(Text.assemble(("next   ", "cyan"), command), soft_wrap=True)


def _tell(finding: Finding) -> None:
    level, about = (f"{finding.level:<8} ", STYLES[finding.level]), (f"{finding.about:<10} ", "bold")
    console.out().print(Text.assemble(level, about, finding.said), soft_wrap=True)
    if finding.todo:
        console.out().print(Text.assemble(" " * 20, ("what to do  ", "bold"), finding.todo), soft_wrap=True)


def _show_parts(trial: Trial) -> None:
    """Parameters and memory by part."""
    table = console.plain_table("part", "parameters", "trained", "MiB", wide=("part",))
    rows = [(name, part.parameters, part.trained, part.stored) for name, part in trial.parts.items()]
    rows.append(("optimizer", 0, 0, trial.kept_by_optimizer))
    rows.append(("activations and gradients", 0, 0, max(trial.growth.of(trial.largest), trial.updating)))
    for name, parameters, trained, stored in rows:
        counts = (f"{parameters:,}", f"{trained:,}") if parameters else ("", "")
        table.add_row(name, *counts, f"{stored / 2**20:,.1f}")
    console.out().print(table)
