"""``knowmvg kg export``: a graph for other tools, or as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowmvg.core.errors import OutputError
from knowmvg.interfaces.cli import console
from knowmvg.interfaces.cli.kg.graphs import open_graph
from knowmvg.interfaces.cli.recorded import chosen


def export(
    graph: Annotated[Path, typer.Argument(help="A graph, or a model folder with one.", show_default=False)],
    form: Annotated[str, typer.Option("--format", "-f", help="graphml, json, csv or html.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file.", show_default="beside GRAPH")] = None,
    allow_licensed: Annotated[
        bool, typer.Option("--allow-licensed", help="Write licensed content where it can be shared. Mind its licence.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier files.")] = False,
) -> None:
    """Write a graph for other tools: GraphML (Gephi, yEd), node-link JSON (D3), two CSV tables, or a picture in HTML.

    The picture is one file that needs no network; csv writes NAME-nodes.csv and NAME-facts.csv.
    """
    from knowmvg.knowledge.export.write import FORMATS, export_graph

    form = chosen("--format", form, tuple(FORMATS))
    known = open_graph(graph)
    suffix = next(iter(FORMATS[form])) if len(FORMATS[form]) == 1 else f".{form}"
    target = out or (graph / f"knowledge{suffix}" if graph.is_dir() else graph.with_suffix(suffix))
    makes = [target] if len(FORMATS[form]) == 1 else [target.with_name(target.stem + end) for end in FORMATS[form]]
    for path in makes:
        if path.exists() and (not overwrite or path.resolve() == graph.resolve()):
            raise OutputError("a new file", f"one at {path}", "Give another path with --out, or --overwrite.")
    written = export_graph(known, target, form, allow_licensed=allow_licensed)
    console.show_written(written, f"knowmvg kg inspect TERM --graph {graph}")
