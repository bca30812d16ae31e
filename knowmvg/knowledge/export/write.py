"""Writing a graph for other tools; what is licensed stays in private folders here too."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.export.picture import draw_page
from knowmvg.knowledge.graph import KnowledgeGraph, to_networkx
from knowmvg.knowledge.licences import refuse_sharing

NODE_FIELDS = ("name", "kind", "finding", "side", "zone", "count", "text", "source", "licence")
# How a text begins that a spreadsheet would run as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_graphml(graph: KnowledgeGraph) -> str:
    """GraphML: nodes by name with their fields, an edge with its relation a fact (Gephi, yEd, Cytoscape)."""
    import networkx

    return "\n".join(networkx.generate_graphml(to_networkx(graph))) + "\n"


def as_json(graph: KnowledgeGraph) -> str:
    """The node-link form of networkx: ``{"nodes": [{"id": ...}], "edges": [{"source": ..., "target": ...}]}`` (D3)."""
    import networkx

    return json.dumps(networkx.node_link_data(to_networkx(graph), edges="edges"), indent=1, ensure_ascii=False) + "\n"


def nodes_csv(graph: KnowledgeGraph) -> str:
    """One line a node, fields in the order of ``NODE_FIELDS``."""
    rows = [[getattr(node, field) for field in NODE_FIELDS] for node in graph.nodes]
    return _csv(NODE_FIELDS, [["" if value is None else value for value in row] for row in rows])


def facts_csv(graph: KnowledgeGraph) -> str:
    """One line a fact: ``from``, ``relation``, ``to``."""
    return _csv(("from", "relation", "to"), [list(fact) for fact in graph.triplets])


def _csv(header: tuple[str, ...], rows: list[list[object]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_inert(value) for value in row] for row in rows)
    return written.getvalue()


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


# Format to the files that it makes: what is put after the name without its suffix, and the text.
FORMATS: dict[str, dict[str, Callable[[KnowledgeGraph], str]]] = {
    "graphml": {".graphml": as_graphml},
    "json": {".json": as_json},
    "csv": {"-nodes.csv": nodes_csv, "-facts.csv": facts_csv},
    "html": {".html": draw_page},
}


def export_graph(graph: KnowledgeGraph, out: Path, form: str, *, allow_licensed: bool = False) -> list[Path]:
    """Write ``graph`` in a format of ``FORMATS`` and give the files: ``out`` itself, or beside it for tables.

    Raises:
        KnowledgeError: an unknown format, a place that cannot be written to, or licensed content and a folder that is
            not private. Files are written whole or not at all.
    """
    if form not in FORMATS:
        raise KnowledgeError(f"one of the formats {', '.join(FORMATS)}", repr(form), "Choose another.")
    refuse_sharing(graph, out.parent, allow_licensed=allow_licensed)
    makers = FORMATS[form]
    texts = {
        (out if len(makers) == 1 else out.with_name(out.stem + suffix)): make(graph) for suffix, make in makers.items()
    }
    for path, text in texts.items():
        _write(path, text)
    return list(texts)


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", newline="")
        draft.replace(path)
    except OSError as error:
        expected = f"a file that can be written at {path}"
        raise KnowledgeError(expected, str(error.strerror or error), "Give an existing, writable folder.") from error
    finally:
        draft.unlink(missing_ok=True)
