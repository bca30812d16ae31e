"""``knowmvg evaluate``: a run to numbers and tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from knowmvg.core.maps import MapKind
from knowmvg.core.records import Side
from knowmvg.evaluation.report.run_card import read_run_card
from knowmvg.interfaces.cli import console, models
from knowmvg.interfaces.cli.evaluate_maps import measure_maps, show_maps
from knowmvg.interfaces.cli.ground import PhraseSource
from knowmvg.interfaces.cli.labelled import LabelledStudies, training_studies
from knowmvg.interfaces.cli.layout import Layout, show_layout
from knowmvg.interfaces.cli.protocols import PROTOCOLS, read_protocols
from knowmvg.interfaces.cli.recorded import evaluate_file
from knowmvg.interfaces.cli.runs import data_folder, model_folder, result_folder
from knowmvg.sources.report import read_report

PREDICTIONS = "A file of predictions"


def evaluate(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="A run folder that `knowmvg train` wrote, or what `ground --model` takes.", show_default=False
        ),
    ] = None,
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
    phrases: Annotated[
        PhraseSource,
        typer.Option(help="Who names the phrases where none are given; the others than the model: see `ground`."),
    ] = PhraseSource.MODEL,
    protocols: Annotated[
        str, typer.Option(help="How it is asked, separated by commas: a slow model may be asked less.")
    ] = PROTOCOLS,
    cases: Annotated[
        int, typer.Option(min=0, max=50, help="Show so many worst and best phrases with their radiographs.")
    ] = 0,
    texts: Annotated[bool, typer.Option("--texts", help="Show the phrases and reports of the cases too.")] = False,
    maps: Annotated[
        MapKind | None,
        typer.Option(help="Also score this map of the evidence against the boxes.", show_default=False),
    ] = None,
    layout: Annotated[
        Layout | None,
        typer.Option(
            help="Show IoU and Dice by finding as PFMVG's Tables 1 and 2 do, its rows beside; files are the same.",
            show_default="our own tables",
        ),
    ] = None,
    endpoint: models.Url = None,
    key_variable: models.KeyVariable = models.KEY_VARIABLE,
    budget: models.Budget = None,
    public: models.Public = False,
    own_endpoint: models.OwnEndpoint = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Score this file, of any model, instead of a run: docs/predictions.md.",
            show_default=False,
            rich_help_panel=PREDICTIONS,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="coco, jsonl, grounding, maira2, qwen2.5, qwen3, medgemma, paligemma, minigpt, plain, internvl, "
            "llava, kosmos2 or florence2.",
            show_default=False,
            rich_help_panel=PREDICTIONS,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="How the model was asked.", show_default=False, rich_help_panel=PREDICTIONS),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            help="What it saw of the images, as crop:518x518.",
            show_default="as published",
            rich_help_panel=PREDICTIONS,
        ),
    ] = None,
    match: Annotated[
        str, typer.Option(help="Find given phrases by text or by finding.", rich_help_panel=PREDICTIONS)
    ] = "text",
    repair: Annotated[
        bool,
        typer.Option(help="Order swapped corners, cut boxes that are out of range.", rich_help_panel=PREDICTIONS),
    ] = False,
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out boxes with a lower score.", rich_help_panel=PREDICTIONS)
    ] = 0.0,
) -> None:
    """Evaluate a model: accuracy at IoU 0.1, 0.3, 0.5 and mean IoU with 95 % intervals over patients.

    Each protocol (phrases given with and without their numbers of boxes, phrases generated) in tables of its own with
    its controls: mean boxes, the nearest training phrase, a shuffled report, a blank image. With --phrases parser or
    both the answers of `knowmvg ground` are scored, in the last protocol alone. The page report.html holds the tables
    with plots, and no data of patients unless --cases or --texts ask for it.
    """
    if (run is None) == (predictions is None):
        raise typer.BadParameter("expected a run or --predictions; got " + ("neither" if run is None else "both"))
    if predictions is not None:
        if maps is not None:
            raise typer.BadParameter("a file of predictions holds none", param_hint="--maps")
        if protocols != PROTOCOLS:
            raise typer.BadParameter("a file's model was asked in one: --protocol", param_hint="--protocols")
        if endpoint is not None:
            raise typer.BadParameter("a file of predictions is not asked", param_hint="--endpoint")
        if cases or texts:
            raise typer.BadParameter("only of a model that is asked here", param_hint="--cases" if cases else "--texts")
        evaluate_file(
            predictions,
            form=form,
            protocol=protocol,
            data=data,
            split=split,
            out=out,
            view=view,
            match=match,
            repair=repair,
            min_score=min_score,
            limit=limit,
            seed=seed,
            reader=finding_and_side,
            layout=layout,
        )
        return
    assert run is not None
    of_files = {
        "--format": form is not None,
        "--protocol (--protocols of a model)": protocol is not None,
        "--view": view is not None,
        "--match": match != "text",
        "--repair": repair,
        "--min-score": min_score > 0,
    }
    for option, given in of_files.items():
        if given:
            raise typer.BadParameter("only with --predictions; a model is asked here", param_hint=option)
    if texts and not cases:
        raise typer.BadParameter("it needs --cases, whose texts it shows", param_hint="--texts")
    by_model = phrases is PhraseSource.MODEL
    if not by_model and protocols != PROTOCOLS:
        raise typer.BadParameter("only with --phrases model; the others have one protocol", param_hint="--protocols")
    asked = read_protocols(protocols)
    behind = models.behind_of(endpoint, out, key_variable, budget, public, own_endpoint)
    if behind is None:
        model_folder(run)  # told before the data are read
    source = data_folder(run, data)
    studies, training = LabelledStudies(source, split), training_studies(source)
    card = read_run_card(run)
    from knowmvg.evaluation.evaluate import evaluate as evaluate_model  # after the checks: these import scipy and torch
    from knowmvg.evaluation.report.write import write_report
    from knowmvg.evaluation.samples import Protocol
    from knowmvg.inference.answering import NamedBy

    named = "" if by_model else f"-{phrases.value}"
    target = result_folder(run, out, f"evaluation-{split}{named}")
    with models.asked_model(run, behind, source, target) as grounder, console.stage_bars() as progress:
        as_used = NamedBy(grounder, phrases.value)
        mapped = measure_maps(
            as_used.grounder,
            maps,
            studies[:limit] if limit else studies,
            training,
            name=run.resolve().name,
            seed=seed,
            progress=progress,
        )
        result = evaluate_model(
            grounder if by_model else as_used,
            studies[:limit] if limit else studies,
            training_studies=training,
            protocols=asked if by_model else [Protocol.GENERATE],
            seed=seed,
            progress=progress,
            name=f"{run.resolve().name}{named}",
            reader=finding_and_side,
        )
    if limit:
        result = replace(result, notes=(*result.notes, f"Of the split the first {limit} studies only."))
    result.write(target)
    described = f"{source.resolve().name}, split {split}" + (f", first {limit} studies" if limit else "")
    write_report(
        target,
        result,
        data=described,
        tables=[*result.further_tables(), *(table for one in mapped for table in one.tables())],
        card=card,
        study_of=studies.of,
        cases=cases,
        texts=texts,
    )
    show_layout(result, layout, described)
    files = [target / "tables.md", target / "metrics.json", target / "report.html"]
    files += [path for one in mapped for path in show_maps(one, target)]
    console.show_written(files, f"knowmvg ground IMAGE --report FILE --model {run} --out out")


def finding_and_side(text: str) -> tuple[str | None, Side | None]:
    """What a generated phrase means, read as a report is read."""
    phrases = read_report(text).phrases
    return (phrases[0].finding, phrases[0].side) if phrases else (None, None)
