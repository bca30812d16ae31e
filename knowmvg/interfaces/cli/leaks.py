"""``knowmvg leaks``: what is both in the data that a model is trained on and in those that it is tested on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowmvg.core.errors import LeakError, ManifestError
from knowmvg.interfaces.cli import console

if TYPE_CHECKING:
    from knowmvg.sources.leaks import Kind, Leaks

SHOWN = 2  # held-out rows named for each leak; --out names more


def leaks(
    folder: Annotated[Path, typer.Argument(help="A data set folder: its splits are compared.", show_default=False)],
    other: Annotated[
        Path | None,
        typer.Argument(help="One to be tested on: compared with what FOLDER is trained on.", show_default=False),
    ] = None,
    near: Annotated[bool, typer.Option("--near", help="Also find images that look alike (reads every image).")] = False,
    sentences: Annotated[
        bool, typer.Option("--sentences", help="Also find reports whose every sentence was trained on, in any order.")
    ] = False,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="Leave out: patient, path, bytes or text; repeatable.", show_default="nothing"),
    ] = None,
    seen: Annotated[
        str, typer.Option(help="Splits of FOLDER that are trained on, where OTHER is given.")
    ] = "train,val",
    held_out: Annotated[str, typer.Option(help="Splits of OTHER that are tested on.")] = "val,test",
    strict: Annotated[bool, typer.Option("--strict", help="Take shared report text for a leak too.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON file for the result.", show_default="none is written")
    ] = None,
) -> None:
    """Find patients, images and report text that are in two splits, or in two data sets.

    Ends with exit code 10 when a patient or an image is shared. Shared report text is a warning: templates and normal
    reports repeat words. See docs/splits.md.
    """
    from knowmvg.sources.leaks import Kind, Part, find_leaks, pairs_between, pairs_within
    from knowmvg.sources.leaks.check import QUICK
    from knowmvg.sources.leaks.wording import refusal

    names = {"patient": Kind.PATIENT, "path": Kind.PATH, "bytes": Kind.BYTES, "text": Kind.TEXT}
    for name in skip or []:
        if name not in names:
            raise typer.BadParameter(f"expected {', '.join(names)}; got {name!r}", param_hint="--skip")
    left_out = {names[name] for name in skip or []}
    kinds = {*QUICK, *([Kind.NEAR] if near else []), *([Kind.SENTENCES] if sentences else [])} - left_out
    if other is None:
        pairs = pairs_within(folder)
    else:
        trained = [Part(folder, split, f"{folder.name}: {split}") for split in _listed(seen)]
        tested = [Part(other, split, f"{other.name}: {split}") for split in _listed(held_out)]
        if folder.resolve() == other.resolve():
            raise ManifestError("two data sets", "the same folder twice", "Give one folder to compare its splits.")
        pairs = pairs_between(trained, tested)
    with console.stage_bars() as progress:
        found = find_leaks(pairs, kinds, progress)
    if not any(found.rows.get(one.name) and found.rows.get(two.name) for one, two in pairs):
        got = ", ".join(f"{rows} in {name}" for name, rows in found.rows.items())
        raise ManifestError("studies on both sides", got, "Divide the data set (knowmvg splits), or name other splits.")
    _show(found, left_out)
    if out is not None:
        from knowmvg.sources.whole_files import write_lines

        write_lines(out, [json.dumps([asdict(leak) for leak in found.found], indent=2)])
    counted = found.found if strict else found.severe
    if counted:
        todo = "Divide the data anew: knowmvg splits FOLDER --ratio 7:1:2."
        if other is not None:
            todo = (
                "Keep them out of training: knowmvg splits FOLDER with --rest unused and --ids of lists without them."
            )
        raise LeakError(*refusal(counted, todo))


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _show(found: Leaks, left_out: set[Kind]) -> None:
    sizes = ", ".join(f"{name} {rows:,}" for name, rows in found.rows.items())
    console.out().print(f"rows: {sizes}", markup=False)
    if left_out:
        console.show_warnings([f"not compared: {', '.join(sorted(map(str, left_out)))}"])
    if found.elsewhere:
        console.show_warnings([f"not compared: {found.elsewhere:,} rows in other splits or in none"])
    if not found.found:
        console.out().print("nothing is shared", markup=False)
        return
    numbers = ("how many", "rows held out")
    table = console.plain_table("shared", "trained on", "held out", *numbers, wide=("shared",), numbers=numbers)
    for leak in found.found:
        name = leak.kind.value if leak.kind.severe else f"{leak.kind.value} (warning)"
        table.add_row(name, leak.seen, leak.held_out, f"{leak.keys:,}", f"{leak.rows:,} of {leak.of:,}")
    console.out().print(table)
    for leak in found.found:
        more = ", ..." if leak.rows > SHOWN else ""
        line = f"{leak.kind.value}, {leak.held_out} and {leak.seen}: {', '.join(leak.examples[:SHOWN])}{more}"
        console.out().print(line, markup=False, soft_wrap=True)
