"""``knowmvg texts``: a prepared folder in another text mode."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowmvg.interfaces.cli import console

if TYPE_CHECKING:
    from knowmvg.sources.manifest import StudyRow
    from knowmvg.sources.texts import Transform
    from knowmvg.sources.texts.categories import Describe
    from knowmvg.sources.texts.endpoint.asking import Asked
    from knowmvg.sources.texts.endpoint.guard import Endpoint
    from knowmvg.sources.texts.folder import TextFolder

MODES = "full, labels, findings, impression, phrases, phrase, question, category"


def texts(
    folder: Annotated[Path, typer.Argument(help="A data set folder with manifest.jsonl.", show_default=False)],
    mode: Annotated[str, typer.Option(help=f"What stands in the report's place: {MODES}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; images stay where they are.")],
    positions: Annotated[
        str, typer.Option(help="Words for the place: keep, say (in reports from labels, by the boxes) or drop.")
    ] = "keep",
    seed: Annotated[int, typer.Option(min=0, help="Of template wordings.")] = 0,
    endpoint: Annotated[
        str | None,
        typer.Option(help="Base URL of an OpenAI-compatible endpoint that writes texts.", show_default="templates"),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Its model.", show_default=False)] = None,
    key_variable: Annotated[str, typer.Option(help="Environment variable with its key.")] = "KNOWMVG_ENDPOINT_KEY",
    connections: Annotated[int, typer.Option(min=1, max=64, help="Questions at a time.")] = 4,
    timeout: Annotated[float, typer.Option(min=1, max=3600, help="Seconds for an answer.")] = 120.0,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for its answers.", show_default=".OUT.answers beside OUT")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="The data may be sent to others (where dataset.json does not say).")
    ] = False,
    own_endpoint: Annotated[
        bool, typer.Option("--own-endpoint", help="The endpoint is yours and keeps nothing (for credentialed data).")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what this command wrote.")] = False,
) -> None:
    """Write a data set in another text mode: sections, phrases, questions, categories, with or without places.

    Studies without a report get one from their labels, by templates or, where you name one, from an endpoint, which is
    sent labels alone. Credentialed data are refused to any endpoint but your own. See docs/texts.md.
    """
    from knowmvg.sources.manifest import read_rows
    from knowmvg.sources.texts import Positions, TextMode, transform
    from knowmvg.sources.texts.categories import atlas_description, categories_of
    from knowmvg.sources.texts.folder import check_target, write_text_folder
    from knowmvg.sources.texts.labels import without_report

    for name, value, known in (("--mode", mode, list(TextMode)), ("--positions", positions, list(Positions))):
        if value not in known:
            raise typer.BadParameter(f"expected {', '.join(known)}; got {value!r}", param_hint=name)
    check_target(folder, out, overwrite=overwrite)
    made_with = {"text_mode": mode, "text_positions": positions, "text_seed": str(seed)}
    left_out: Counter[str] = Counter()
    describe: Describe = atlas_description
    shown = TextMode(mode)
    asker, place = None, cache or out.with_name(f".{out.name}.answers")
    with console.stage_bars() as progress, ExitStack() as stack:
        rows = _watched(read_rows(folder), lambda done: progress("studies", done, None))
        if (named := _named_endpoint(folder, endpoint, model, key_variable, public, own_endpoint)) is not None:
            from knowmvg.sources.texts.endpoint.asking import open_asker
            from knowmvg.sources.texts.endpoint.client import Patience

            asker = stack.enter_context(open_asker(named, place, Patience(timeout), connections))
            made_with["text_model"] = named.model
            if mode == TextMode.CATEGORY:
                describe = asker.descriptions(categories_of(read_rows(folder))).get
            else:
                bare = map(without_report, rows) if mode == TextMode.LABELS else rows
                rows = asker.reports(bare, Positions(positions))
                shown = TextMode.FULL if mode == TextMode.LABELS else shown
        change = transform(shown, positions=Positions(positions), seed=seed, describe=describe)
        written = write_text_folder(folder, out, _changed(rows, change, left_out), made_with)
    _show(written, left_out, asker.asked if asker is not None else None, place)
    console.show_written(written.files, f"knowmvg leaks {out}")


def _named_endpoint(
    folder: Path, url: str | None, model: str | None, key_variable: str, public: bool, own: bool
) -> Endpoint | None:
    """The endpoint of the command line, if it names one and these data may go there."""
    if (url is None) != (model is None):
        raise typer.BadParameter("expected both or neither", param_hint="--endpoint, --model")
    if url is None or model is None:
        return None
    from knowmvg.sources.texts.endpoint.guard import allowed_endpoint, is_credentialed

    known = is_credentialed(folder)
    credentialed = False if known is None and public else known
    key = os.environ.get(key_variable, "").strip() or None
    return allowed_endpoint(url, model, key, credentialed=credentialed, confirmed_own=own)


def _changed(rows: Iterable[StudyRow], change: Transform, left_out: Counter[str]) -> Iterator[StudyRow]:
    for row in rows:
        made = change(row)
        if not made:
            left_out["studies without a text in this mode"] += 1
        yield from made


def _watched(rows: Iterable[StudyRow], tell: Callable[[int], None]) -> Iterator[StudyRow]:
    for number, row in enumerate(rows, 1):
        if number % 100 == 0:
            tell(number)
        yield row


def _show(written: TextFolder, left_out: Counter[str], asked: Asked | None, place: Path) -> None:
    columns = ("patients", "studies", "phrases", "boxes")
    table = console.plain_table("split", *columns, numbers=columns)
    for split, count in written.counts.items():
        numbers = (count.patients, count.studies, count.phrases, count.boxes)
        table.add_row(split or "none", *(f"{number:,}" for number in numbers))
    console.out().print(table)
    if asked is not None:
        line = f"{asked.questions:,} questions, {asked.cached:,} answers from earlier runs; all are kept in {place}"
        console.out().print(line, markup=False, soft_wrap=True)
        left_out.update({f"without a usable answer ({kind})": number for kind, number in asked.unusable.items()})
    if not any(count.boxes for count in written.counts.values()):
        console.show_warnings(["No text of this mode names a finding with boxes: there is nothing to ground."])
    what = "left out, or a category without its description" if asked is not None else "left out"
    console.show_warnings(f"{what}: {number:,} {kind}" for kind, number in left_out.items())
