"""``knowmvg kg inspect``: what is known of a term."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from knowmvg.core.records import DISCLAIMER
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.kg.graphs import open_graph

_MANY = 30  # nodes shown in words; --json gives all


def inspect(
    term: Annotated[str, typer.Argument(help="A finding, device, zone or place: 'pleural effusion'.")],
    graph: Annotated[
        Path | None, typer.Option(help="A graph, or a model folder with one, to look into as well.")
    ] = None,
    atlas: Annotated[Path | None, typer.Option(help="An atlas of your own.", show_default="the open atlas")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON for programs.")] = False,
) -> None:
    """Show what the atlas, and a graph, know of a term: sites, synonyms, neighbours, source, licence, counts."""
    from knowmvg.knowledge.inspection import inspect_term
    from knowmvg.knowledge.ontology import load_atlas

    known = inspect_term(term, load_atlas(atlas), None if graph is None else open_graph(graph))
    if as_json:
        typer.echo(json.dumps(asdict(known) | {"notice": DISCLAIMER}, indent=1, ensure_ascii=False))
        return
    if known.atlas is not None:
        _show(known.atlas)
    if graph is not None:
        nodes = "1 node" if len(known.nodes) == 1 else f"{len(known.nodes)} nodes"
        console.out().print(Text(f"\n{nodes} of {graph}", "bold"), soft_wrap=True)
    for node in known.nodes[:_MANY]:
        console.out().print()
        _show(node)
    if len(known.nodes) > _MANY:
        console.out().print(f"\n... and {len(known.nodes) - _MANY} more; --json shows all")
    console.out().print(Text(DISCLAIMER, "dim"))


def _show(facts: dict[str, Any]) -> None:
    for label, value in facts.items():
        words = ", ".join(value) if isinstance(value, list) else value
        if words or words == 0:
            console.out().print(Text.assemble((f"{label:<11}", "bold"), str(words)), soft_wrap=True)
