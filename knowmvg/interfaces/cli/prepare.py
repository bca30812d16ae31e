"""``knowmvg prepare``: a data set's own files to a data set folder of this project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from knowmvg.core.errors import ManifestError
from knowmvg.interfaces.cli import console
from knowmvg.sources.datasets import SOURCES, open_reader
from knowmvg.sources.datasets.reader import Places

if TYPE_CHECKING:
    from knowmvg.sources.prepare import Prepared
    from knowmvg.sources.prepare.summary import Table

MOST_ROWS = 40
SOURCE_HELP = f"The data set: {', '.join(SOURCES)}; --sources says more of each."


def _list_sources(wanted: bool) -> None:
    """Every data set with its settings, and the end."""
    if not wanted:
        return
    for name, source in SOURCES.items():
        console.out().print(Text.assemble((f"{name}  ", "bold"), source.title))
        table = console.plain_table("", "", wide=("",))
        table.show_header = False
        for key, what in source.options.items():
            table.add_row(f"  --set {key}=", what)
        if source.options:
            console.out().print(table)
    console.out().print("In brackets: what counts where you say nothing.")
    raise typer.Exit


def prepare(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP, show_default=False)],
    root: Annotated[Path, typer.Option(help="Folder of the download.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; new or empty.", show_default=False)],
    images: Annotated[Path | None, typer.Option(help="Folder of the images.", show_default="--root")] = None,
    reports: Annotated[
        Path | None, typer.Option(help="Folder of the reports, where the set has them apart.", show_default=False)
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="File or folder of the annotations.", show_default="found in --root")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the data set, as --sources lists them; can be given again.",
            show_default=False,
        ),
    ] = None,
    ratio: Annotated[
        str | None,
        typer.Option(metavar="TRAIN:VAL:TEST", help="Divide the patients anew, as 7:1:2.", show_default="as published"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of --ratio: the same seed gives the same patients.")] = 0,
    skip_faulty: Annotated[
        bool, typer.Option("--skip-faulty", help="Leave out what cannot be used and count it; else it is an error.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every image with SHA256SUMS.txt, which reads each in full.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier data set.")] = False,
    sources: Annotated[
        bool,
        typer.Option(
            "--sources", callback=_list_sources, is_eager=True, help="List the data sets and their settings, and end."
        ),
    ] = False,
) -> None:
    """Turn your own copy of a data set into a data set folder: manifest, notes, summary. Images stay where they are.

    Nothing leaves this machine. A run that was cut off goes on where it stopped when it is started again. docs/data.md
    says what to download and how the folders must lie.
    """
    from knowmvg.sources.prepare import prepare as prepare_rows  # matplotlib takes a second to import
    from knowmvg.sources.splits.assign import ByShares
    from knowmvg.sources.splits.resplit import resplit
    from knowmvg.sources.splits.shares import Shares

    chosen = _pairs(settings or [])
    division = None if ratio is None else ByShares(Shares.parse(ratio), seed)
    reader = open_reader(source, _places(root, images, reports, annotations), chosen)
    if division is not None:
        chosen |= {"splits": f"{division.shares.text} of patients, seed {seed}"}
    with console.stage_bars() as progress:
        prepared = prepare_rows(
            reader,
            out,
            skip_faulty=skip_faulty,
            verify_images=verify,
            overwrite=overwrite,
            assign=None if division is None else division.learn,
            made_with=chosen,
            progress=progress,
        )
    if division is not None:  # the rows have their splits; now the lists of who is where
        resplit(out, division, published=False)
    _show(prepared)
    files = [out / name for name in ("manifest.jsonl", "dataset.json", "faults.jsonl", "summary.md", "summary.png")]
    command = f"knowmvg train recipes/demo.yaml data.folder={out} data.masked=data/phantom"
    splits = prepared.notes.counts.keys()
    if not {"train", "val"} <= splits:  # published tests stay what they are
        keep = " --ratio 9:1:0 --keep test" if "test" in splits else " --ratio 7:1:2"
        command = f"knowmvg splits {out}{keep}, then {command}"
    console.show_written(files, command)


def _places(root: Path, images: Path | None, reports: Path | None, annotations: Path | None) -> Places:
    for option, folder in (("--root", root), ("--images", images), ("--reports", reports)):
        if folder is not None and not folder.is_dir():
            if folder.is_file():
                raise ManifestError(f"a folder for {option}", f"a file at {folder}", "Give the folder that holds it.")
            raise ManifestError(f"a folder for {option}", f"none at {folder}", "Check the path.")
    return Places(root, images, reports, annotations)


def _pairs(settings: list[str]) -> dict[str, str]:
    pairs = [setting.partition("=") for setting in settings]
    wrong = [
        setting for setting, (key, mark, value) in zip(settings, pairs, strict=True) if not (key and mark and value)
    ]
    if wrong:
        raise typer.BadParameter(f"expected KEY=VALUE; got {wrong[0]!r}", param_hint="--set")
    return {key: value for key, _, value in pairs}


def _show(prepared: Prepared) -> None:
    from knowmvg.sources.prepare.summary import fault_table, finding_table, remarks, split_table

    if prepared.taken_up:
        console.err().print(f"went on after {prepared.taken_up:,} rows of an earlier run")
    _print(split_table(prepared.notes))
    _print(finding_table(prepared.notes, prepared.tally))
    if prepared.notes.faults:
        _print(fault_table(prepared.notes))
    console.show_warnings(remarks(prepared.notes))


def _print(contents: Table) -> None:
    header, rows = contents
    shown = rows[:MOST_ROWS]
    table = console.plain_table(*header, wide=header[:1], numbers=header[1:])
    for row in shown:
        table.add_row(*row)
    console.out().print(table)
    if len(shown) < len(rows):
        console.out().print(f"{len(rows) - len(shown)} further lines are in summary.md")
