"""``knowmvg kg diff``: what changed between two graphs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.kg.graphs import open_graph

_MANY = 40  # lines of a kind; --json gives all


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A graph or a model folder.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another one.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON for programs.")] = False,
) -> None:
    """Show what B has that A has not, the other way round, and what nodes of both say differently."""
    from knowmvg.knowledge.difference import difference

    found = difference(open_graph(before), open_graph(after))
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1, ensure_ascii=False))
        return
    if not found:
        console.out().print("equal")
        return
    _show("nodes added", "+", "green", found.added)
    _show("nodes removed", "-", "red", found.removed)
    changed = tuple(f"{name}: {_fields(fields)}" for name, fields in found.changed.items())
    _show("nodes changed", "~", "yellow", changed)
    _show("facts added", "+", "green", tuple(map(" ".join, found.facts_added)))
    _show("facts removed", "-", "red", tuple(map(" ".join, found.facts_removed)))
    _show("findings read by other words", "~", "yellow", found.words_changed)


def _fields(fields: dict[str, tuple[object, object]]) -> str:
    return "; ".join(f"{field} {old} -> {new}" for field, (old, new) in fields.items())


def _show(title: str, sign: str, colour: str, lines: tuple[str, ...]) -> None:
    if not lines:
        return
    console.out().print(Text(f"{title} ({len(lines)})", "bold"))
    for line in lines[:_MANY]:
        console.out().print(Text(f"  {sign} {line}", colour), soft_wrap=True)
    if len(lines) > _MANY:
        console.out().print(f"  ... and {len(lines) - _MANY} more; --json shows all")
