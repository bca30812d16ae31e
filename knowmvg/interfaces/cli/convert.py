"""``knowmvg convert``: predictions and reference boxes between the formats of models and tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowmvg.core.errors import ManifestError, OutputError
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.recorded import chosen, view_of

MANIFEST = "manifest"

convert = typer.Typer(no_args_is_help=True, help="Write boxes for another model or tool.", add_completion=False)


@convert.callback()
def _conversions() -> None:
    """Write boxes for another model or tool."""


@convert.command("boxes")
def boxes(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A file of predictions, or a data set folder.", show_default=False)
    ],
    form: Annotated[str, typer.Option("--from", help="Its format: manifest for the reference boxes of a folder.")],
    to: Annotated[str, typer.Option("--to", help="The format to write.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data set folder, or COCO file, with the images' sizes.", show_default="IN: manifest, coco"),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which studies.", show_default="all")] = None,
    view: Annotated[
        str | None, typer.Option(help="What the model of IN saw, as crop:518x518.", show_default="as published")
    ] = None,
    out_view: Annotated[
        str | None, typer.Option(help="What the model to be written for sees.", show_default="as published")
    ] = None,
    repair: Annotated[bool, typer.Option(help="Order swapped corners and cut boxes that are out of range.")] = False,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out boxes with a lower score.")] = 0.0,
    images: Annotated[str, typer.Option(help="Where Label Studio finds the images.")] = "",
    overwrite: Annotated[bool, typer.Option(help="Replace an earlier file.")] = False,
) -> None:
    """Convert boxes by way of the pixels of the stored images.

    IN: manifest, coco, jsonl, grounding, maira2, qwen2.5, qwen3, medgemma, paligemma, minigpt,
    internvl, llava, kosmos2, florence2, plain. OUT: the same
    without manifest and grounding, and label-studio, fiftyone. See docs/predictions.md.
    """
    from knowmvg.core.boxtext.reading import tally
    from knowmvg.sources.predictions.formats import COCO, READ, WRITTEN, read_predictions, write_predictions
    from knowmvg.sources.predictions.references import listing_of, references

    form, to = chosen("--from", form, (MANIFEST, *READ)), chosen("--to", to, WRITTEN)
    seen, shown = view_of("--view", view), view_of("--out-view", out_view)
    folder = data if data is not None else source if form in (MANIFEST, COCO) else None
    if folder is None:
        raise typer.BadParameter("expected a data set folder; got none", param_hint="--data")
    listing = listing_of(folder, split)
    if form == MANIFEST:
        found = references(source, split)
    else:
        found = read_predictions(source, form, listing, view=seen, repair=repair).at_least(min_score)
    if not found.answers:
        raise ManifestError(f"answers about studies in {folder}", f"none in {source}", "Name studies as it does.")
    export = write_predictions(found, to, listing, view=shown, model=source.stem, images=images)
    targets = {out.with_name(out.name + suffix): text for suffix, text in export.files.items()}
    _write(targets, overwrite)
    faults = tally(fault for answer in found.answers for fault in answer.faults)
    console.show_warnings(
        [
            *(f"{n} x {name}: left out" for name, n in faults.items() if not repair),
            *(f"{n} x {name}" for name, n in faults.items() if repair),
            *([f"{len(found.unknown)} studies of {source} are unknown: left out"] if found.unknown else []),
            *export.notes,
        ]
    )
    console.show_written(
        targets, _next(out, to, folder, asked=any(answer.asked is not None for answer in found.answers))
    )


def _write(targets: dict[Path, str], overwrite: bool) -> None:
    from knowmvg.evaluation.files import write_text

    for target in targets:
        if target.is_dir() or (target.exists() and not overwrite):
            raise OutputError("a new file", f"{target} exists", "Give another name, or --overwrite.")
    for target, text in targets.items():
        write_text(target, text)


def _next(out: Path, to: str, folder: Path, *, asked: bool) -> str:
    from knowmvg.sources.predictions.formats import READ

    if to in READ:
        how = f"--data {folder} --protocol {'teacher_forced' if asked else 'generate'} --out tables"
        return f"knowmvg evaluate --predictions {out} --format {to} {how}"
    return f"import {out} into {to}: docs/predictions.md says how"
