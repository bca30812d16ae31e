"""``knowmvg evaluate``: a run to numbers and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from knowmvg.core.records import Side
from knowmvg.evaluation.report.run_card import read_run_card
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.interfaces.cli.runs import data_folder, model_folder
from knowmvg.sources.report import read_report


def evaluate(
    run: Annotated[
        Path, typer.Argument(help="A run folder that `knowmvg train` wrote, or a model folder.", show_default=False)
    ],
    data: Annotated[
        Path | None, typer.Option(help="Data set folder with manifest.jsonl.", show_default="the run's own")
    ] = None,
    split: Annotated[str, typer.Option(help="Which studies to ask.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the tables.", show_default="RUN/evaluation-SPLIT")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many studies.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the shuffled control and of the bootstrap.")] = 0,
    cases: Annotated[
        int, typer.Option(min=0, max=50, help="Show so many worst and best phrases with their radiographs.")
    ] = 0,
    texts: Annotated[bool, typer.Option("--texts", help="Show the phrases and reports of the cases too.")] = False,
) -> None:
    """Evaluate a model: accuracy at IoU 0.1, 0.3, 0.5 and mean IoU with 95 % intervals over patients.

    Both protocols (phrases given, phrases generated) in tables of their own, each with its controls: mean boxes, a
    shuffled report, a blank image. The page report.html holds them with plots, and no data of patients unless --cases
    or --texts ask for it.
    """
    if texts and not cases:
        raise typer.BadParameter("it needs --cases, whose texts it shows", param_hint="--texts")
    folder, source = model_folder(run), data_folder(run, data)
    studies, training = LabelledStudies(source, split), LabelledStudies(source, "train")
    card = read_run_card(run)
    from knowmvg.evaluation.evaluate import evaluate as evaluate_model  # after the checks: these import scipy and torch
    from knowmvg.evaluation.report.write import write_report
    from knowmvg.grounders.store import load_grounder

    grounder = load_grounder(folder)
    target = out or run / f"evaluation-{split}"
    with console.progress_bar() as bar:
        tasks = {}

        def progress(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        result = evaluate_model(
            grounder,
            studies[:limit] if limit else studies,
            training_studies=training,
            seed=seed,
            progress=progress,
            name=run.resolve().name,
            reader=finding_and_side,
        )
    result.write(target)
    described = f"{source.resolve().name}, split {split}" + (f", first {limit} studies" if limit else "")
    write_report(target, result, data=described, card=card, study_of=studies.of, cases=cases, texts=texts)
    console.out().print(Markdown(result.to_markdown()))
    files = [target / "tables.md", target / "metrics.json", target / "report.html"]
    console.show_written(files, f"knowmvg ground IMAGE --report FILE --model {folder} --out out")


def finding_and_side(text: str) -> tuple[str | None, Side | None]:
    """What a generated phrase means, read as a report is read."""
    phrases = read_report(text).phrases
    return (phrases[0].finding, phrases[0].side) if phrases else (None, None)
