"""``knowmvg ground``: one study to ``grounding.json`` and ``overlay.png``, or a folder of studies to JSON lines."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from knowmvg.core.records import GroundedPhrase, Grounding
from knowmvg.interfaces.cli import console, models
from knowmvg.interfaces.cli.ground_folder import FolderOptions, ground_folder

FOLDER = "A folder of studies"
JSON_NAME, PICTURE_NAME = "grounding.json", "overlay.png"


class PhraseSource(StrEnum):
    """Who names the phrases."""

    MODEL = "model"
    PARSER = "parser"
    BOTH = "both"


def ground(
    image: Annotated[
        Path,
        typer.Argument(help="A chest radiograph: DICOM, PNG or JPEG; or a folder of studies.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the results; made if missing.", show_default=False)
    ],
    report: Annotated[
        Path | None, typer.Option("--report", "-r", help="Its report, a text file.", show_default=False)
    ] = None,
    phrases: Annotated[
        PhraseSource,
        typer.Option(help="Who names the phrases: the model's own answer, the report parser, or both reconciled."),
    ] = PhraseSource.BOTH,
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder of a run or model, the name of a shipped one, a chat model's folder, or a hub id as "
            "owner/name@revision; with --endpoint its model.",
            show_default="the demonstration model that is shipped",
        ),
    ] = None,
    endpoint: models.Url = None,
    key_variable: models.KeyVariable = models.KEY_VARIABLE,
    budget: models.Budget = None,
    public: models.Public = False,
    own_endpoint: models.OwnEndpoint = False,
    maps: Annotated[
        bool, typer.Option("--maps", help="Also write the maps behind each phrase's boxes: docs/evidence.md.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")] = False,
    device: Annotated[
        str | None,
        typer.Option(help="Where the model runs: cpu, cuda, cuda:1.", show_default="a GPU where there is one"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Only this split of a data set.", show_default=False, rich_help_panel=FOLDER),
    ] = None,
    shards: Annotated[
        int, typer.Option(min=1, help="Processes or machines that share the work.", rich_help_panel=FOLDER)
    ] = 1,
    shard: Annotated[int, typer.Option(min=0, help="Which of them this is, from 0.", rich_help_panel=FOLDER)] = 0,
    readers: Annotated[
        int, typer.Option(min=0, max=64, help="Threads that read ahead of the model.", rich_help_panel=FOLDER)
    ] = 2,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Do parts with failures again.", rich_help_panel=FOLDER)
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Work on Ray: `local`, or the address of a cluster (extra ray).",
            show_default=False,
            rich_help_panel=FOLDER,
        ),
    ] = None,
    ray_workers: Annotated[int, typer.Option(min=1, help="Models that Ray keeps at work.", rich_help_panel=FOLDER)] = 1,
) -> None:
    """Ground a study: name the report's diagnostic phrases and place them on the image.

    Writes grounding.json (phrases, boxes in pixels of the stored image, scores, evidence) and overlay.png, both or
    neither; with --maps also maps/ and overlay-maps.png. Phrases that the report calls absent, resolved or earlier are
    listed with the reason and without box.

    A folder is a data set with manifest.jsonl, or holds images NAME.dcm|png|jpg with reports NAME.txt. Its results are
    groundings.jsonl and failed.jsonl; a study that cannot be read stops nothing, and the same command goes on where it
    was stopped: docs/scale_out.md.
    """
    if image.is_dir():
        alone = {"--report": report, "--maps": maps, "--overwrite": overwrite, "--endpoint": endpoint}
        for option, given in alone.items():
            if given:
                raise typer.BadParameter("not with a folder of studies", param_hint=option)
        if shard >= shards:
            raise typer.BadParameter(f"expected less than --shards {shards}; got {shard}", param_hint="--shard")
        if ray is not None and shards > 1:
            raise typer.BadParameter("Ray divides the work itself", param_hint="--shards")
        options = FolderOptions(split, shards, shard, readers, device, retry_failed, ray, ray_workers)
        ground_folder(image, out, phrases.value, model, options)
        return
    of_folders = {
        "--split": split is not None,
        "--shards": shards != 1,
        "--shard": shard != 0,
        "--retry-failed": retry_failed,
        "--ray": ray is not None,
    }
    for option, set_ in of_folders.items():
        if set_:
            raise typer.BadParameter(f"only with a folder of studies; {image} is none", param_hint=option)
    if report is None:
        raise typer.BadParameter("a study needs its report", param_hint="--report")
    from knowmvg.inference import map_files, overlay, results, session
    from knowmvg.sources.image import read_radiograph

    names = (JSON_NAME, PICTURE_NAME, *([map_files.OVERLAY, map_files.FOLDER] if maps else []))
    results.check_free(out, names, overwrite=overwrite)
    text = session.read_report_text(report)  # bad input is told before the model is loaded
    radiograph = read_radiograph(image)
    with ExitStack() as stack:
        if endpoint is None:
            opened = session.load(model, device=device)
        else:
            behind = models.Behind(endpoint, key_variable, budget, public, own_endpoint)
            opened = session.Session(stack.enter_context(behind.opened(model, models.answers_beside(out))))
        grounding = opened.ground(radiograph, text, phrases.value, maps=maps)
    drawn: dict[str, bytes] = {}
    if maps:
        grounding, drawn = map_files.with_map_files(grounding)
        drawn[map_files.OVERLAY] = overlay.png(radiograph, grounding, maps=True)
    files = {
        JSON_NAME: grounding.to_json().encode("utf-8"),
        PICTURE_NAME: overlay.png(radiograph, grounding),
        **drawn,
    }
    written = results.write_together(out, files, map_files.written_before(out))
    show(grounding)
    console.show_written(written, f"knowmvg read {report}")


def show(grounding: Grounding) -> None:
    """The result as a table, boxes rounded to whole pixels; below it why phrases have no box, and warnings."""
    columns = ("#", "phrase", "finding", "assertion", "x1 y1 x2 y2", "score", "by")
    table = console.plain_table(*columns, wide=("phrase", "finding"))
    number = 0
    for phrase in grounding.phrases:
        number += bool(phrase.boxes)
        table.add_row(*_cells(phrase, number), style=None if phrase.boxes else "dim")
    if grounding.phrases:
        console.out().print(table)
    for reason, texts in _unplaced(grounding).items():
        console.out().print(Text(f"no box   {'; '.join(texts)}: {reason}"))
    console.show_warnings(grounding.warnings)


def _unplaced(grounding: Grounding) -> dict[str, list[str]]:
    """The phrases without box by their reason."""
    reasons: dict[str, list[str]] = {}
    for phrase in grounding.phrases:
        if phrase.reason:
            reasons.setdefault(phrase.reason, []).append(" ".join(phrase.text.split()))
    return reasons


def _cells(phrase: GroundedPhrase, number: int) -> tuple[Text, ...]:
    boxes = "\n".join(" ".join(f"{value:.0f}" for value in region.xyxy) for region in phrase.boxes)
    scores = "\n".join(f"{region.score:.2f}" for region in phrase.boxes)
    source = phrase.evidence.source if phrase.evidence else "model"
    cells = (
        str(number) if phrase.boxes else "",
        " ".join(phrase.text.split()),
        phrase.finding or "",
        phrase.assertion.value,
        boxes,
        scores,
        source,
    )
    return tuple(Text(cell) for cell in cells)  # report text is never read as markup
