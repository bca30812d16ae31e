"""``knowmvg read``: what the parser understood of a report, without image and model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from knowmvg.core.records import Assertion, Phrase
from knowmvg.interfaces.cli import console

COLOURS = {
    Assertion.PRESENT: "green",
    Assertion.POSSIBLE: "yellow",
    Assertion.ABSENT: "red",
    Assertion.RESOLVED: "magenta",
    Assertion.PRIOR: "magenta",
}


def read(
    report: Annotated[Path, typer.Argument(help="A report, a text file.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> None:
    """Show what is understood of a report: findings with their place in the text, assertion, side and zone.

    Indication, comparison and technique never give findings. Nothing is written to disk.
    """
    from knowmvg.inference.session import read_report_text
    from knowmvg.sources.report import read_report

    reading = read_report(read_report_text(report))
    if as_json:
        sections = [{"section": s.section.value, "span": [s.start, s.end]} for s in reading.sections]
        phrases = [phrase.model_dump(mode="json") for phrase in reading.phrases]
        typer.echo(json.dumps({"sections": sections, "phrases": phrases}, indent=2, ensure_ascii=False))
        return
    screen = console.out()
    screen.print(_coloured(reading.text, reading.phrases), soft_wrap=True)
    screen.print()
    if not reading.phrases:
        screen.print("No diagnostic phrase was found.")
        return
    columns = ("span", "phrase", "finding", "assertion", "where", "section")
    table = console.plain_table(*columns, wide=("phrase", "finding"))
    for phrase in reading.phrases:
        table.add_row(*_cells(phrase))
    screen.print(table)


def _coloured(text: str, phrases: tuple[Phrase, ...]) -> Text:
    """The report with its phrases coloured by assertion."""
    coloured = Text(text.rstrip())
    for phrase in phrases:
        if phrase.span is not None:
            coloured.stylize(COLOURS[phrase.assertion], *phrase.span)
    return coloured


def _cells(phrase: Phrase) -> tuple[Text, ...]:
    span = "" if phrase.span is None else f"{phrase.span[0]}-{phrase.span[1]}"
    assertion = Text(phrase.assertion.value, COLOURS[phrase.assertion])
    where = " ".join(word for word in (phrase.side.value if phrase.side else None, phrase.zone) if word)
    return (
        Text(span),
        Text(" ".join(phrase.text.split())),
        Text(phrase.finding or ""),
        assertion,
        Text(where),
        Text(phrase.section.value),
    )
