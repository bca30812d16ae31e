"""``knowmvg stress``: a run's boxes under changed images, changed words and without their evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from knowmvg.interfaces.cli import console, models
from knowmvg.interfaces.cli.evaluate import finding_and_side
from knowmvg.interfaces.cli.labelled import LabelledStudies, training_studies
from knowmvg.interfaces.cli.narrow_tables import show_markdown
from knowmvg.interfaces.cli.runs import data_folder, model_folder, result_folder


def stress(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run folder that `knowmvg train` wrote, or what `ground --model` takes.", show_default=False
        ),
    ],
    data: Annotated[
        Path | None, typer.Option(help="Data set folder with manifest.jsonl.", show_default="the run's own")
    ] = None,
    split: Annotated[str, typer.Option(help="Which studies to ask.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the tables.", show_default="RUN/robustness-SPLIT")
    ] = None,
    protocol: Annotated[
        Literal["phrase_given", "teacher_forced", "generate"], typer.Option(help="How the model is asked.")
    ] = "phrase_given",
    limit: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many studies.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all changes, controls and the bootstrap.")] = 0,
    endpoint: models.Url = None,
    key_variable: models.KeyVariable = models.KEY_VARIABLE,
    budget: models.Budget = None,
    public: models.Public = False,
    own_endpoint: models.OwnEndpoint = False,
) -> None:
    """Test how far a model's boxes hold, with 95 % intervals over patients; about 25 times the work of one evaluation.

    Controls; cropped, turned, brighter, noisy and compressed images; left and right exchanged; paraphrases; denied
    findings; and the same phrases asked again without the cited knowledge and the answered region.
    """
    behind = models.behind_of(endpoint, out, key_variable, budget, public, own_endpoint)
    if behind is None:
        model_folder(run)  # told before the data are read
    source = data_folder(run, data)
    target = result_folder(run, out, f"robustness-{split}")
    studies, training = LabelledStudies(source, split), training_studies(source)
    from knowmvg.evaluation.robustness.stress import stress as stress_model  # after the checks: scipy and torch

    with models.asked_model(run, behind, source, target) as grounder, console.stage_bars() as progress:
        result = stress_model(
            grounder,
            studies[:limit] if limit else studies,
            training_studies=training,
            protocol=protocol,
            seed=seed,
            progress=progress,
            name=run.resolve().name,
            reader=finding_and_side,
        )
    result.write(target)
    show_markdown(result.to_markdown(), console.out())
    console.show_written([target / "robustness.md", target / "robustness.json"], f"knowmvg evaluate {run}")
