"""``knowmvg evaluate --predictions``: a file of predictions, of any model, to numbers and tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from knowmvg.core.boxtext.views import View
from knowmvg.core.errors import ManifestError
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.labelled import LabelledStudies, training_studies
from knowmvg.interfaces.cli.layout import Layout, show_layout
from knowmvg.interfaces.cli.runs import check_folder

if TYPE_CHECKING:
    from knowmvg.evaluation.recorded import Key


def chosen(name: str, value: str | None, options: tuple[str, ...]) -> str:
    """The option's value. Raises ``BadParameter`` where it is missing or none of ``options``."""
    if value not in options:
        got = "none" if value is None else repr(value)
        raise typer.BadParameter(f"expected one of {', '.join(options)}; got {got}", param_hint=name)
    return str(value)


def view_of(name: str, words: str | None) -> View | None:
    """The view in ``words``, ``None`` for none. Raises ``BadParameter`` for anything else."""
    try:
        return None if words is None else View.parse(words)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from error


def evaluate_file(
    predictions: Path,
    *,
    form: str | None,
    protocol: str | None,
    data: Path | None,
    split: str,
    out: Path | None,
    view: str | None,
    match: str,
    repair: bool,
    min_score: float,
    limit: int | None,
    seed: int,
    reader: Any,
    layout: Layout | None = None,
) -> None:
    """Score a file with the protocol, samples, tables and intervals of our own models."""
    from knowmvg.evaluation.samples import Protocol
    from knowmvg.sources.predictions.formats import READ, read_predictions
    from knowmvg.sources.predictions.references import listing_of

    form = chosen("--format", form, READ)
    asked = Protocol(chosen("--protocol", protocol, tuple(Protocol)))
    key: Key = "finding" if chosen("--match", match, ("text", "finding")) == "finding" else "text"
    seen = view_of("--view", view)
    if data is None or out is None:
        raise typer.BadParameter("expected a folder; got none", param_hint="--data" if data is None else "--out")
    check_folder(out)
    listing = listing_of(data, split)
    found = read_predictions(predictions, form, listing, view=seen, repair=repair).at_least(min_score)
    studies = LabelledStudies(data, split)

    from knowmvg.evaluation.answered import answered
    from knowmvg.evaluation.evaluate import evaluate
    from knowmvg.evaluation.files import write_text
    from knowmvg.evaluation.recorded import REPLAYED, Recorded
    from knowmvg.evaluation.report.write import write_report

    recorded = Recorded(found, predictions.stem, key)
    recorded.refuse_unfit(asked)
    if not found.answers:
        got = f"{len(found.unknown)} studies, none of which is in {data}" if found.unknown else "no answer"
        raise ManifestError(f"answers about studies of the split {split!r}", got, "Name studies as the manifest does.")
    with console.stage_bars() as progress:
        result = evaluate(
            recorded,
            studies[:limit] if limit else studies,
            training_studies=training_studies(data),
            protocols=[asked],
            replayed=True,
            seed=seed,
            progress=progress,
            name=predictions.stem,
            reader=reader,
        )
    counts = answered(recorded, found, asked)
    result = replace(result, notes=(*counts.notes(), REPLAYED, *result.notes))
    write_text(out / "answers.json", counts.to_json())
    result.write(out)
    described = f"{data.resolve().name}, split {split}" + (f", first {limit} studies" if limit else "")
    write_report(out, result, data=described, tables=result.further_tables())
    show_layout(result, layout, described)
    files = [out / "answers.json", out / "tables.md", out / "metrics.json", out / "report.html"]
    console.show_written(
        files, f"knowmvg convert boxes {predictions} --from {form} --to coco --data {data} --out coco.json"
    )
