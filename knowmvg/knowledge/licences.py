"""Licensed knowledge stays where its owner put it: the guard before a graph or a model folder is written.

A graph may hold content that its licence does not let anyone pass on (UMLS, first of all). The rule is short:

* a node whose licence is one of ``OPEN_LICENCES`` may be written anywhere;
* any other node is *licensed*, and is written only into a private folder: one that holds a file ``PRIVATE_MARK``, or
  lies in one that does, and that is in no git work tree;
* whoever asks for it by name (``--allow-licensed``) may write anywhere, and answers for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from knowmvg.core.errors import KnowledgeError

if TYPE_CHECKING:
    from knowmvg.knowledge.graph import KnowledgeGraph

PRIVATE_MARK = ".knowmvg-private"
OPEN_LICENCES = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0",
        "CC0-1.0", "ISC", "MIT", "ODC-By-1.0", "PDDL-1.0", "Unlicense",
    }
)  # fmt: skip
"""SPDX names of licences that let anyone pass the content on, also changed and in a model."""


def licences_of(graph: KnowledgeGraph) -> dict[str, int]:
    """The licences of the graph's nodes with the number of nodes under each, by name."""
    found = [node.licence for node in graph.nodes]
    return {licence: found.count(licence) for licence in sorted(set(found))}


def closed_licences(graph: KnowledgeGraph) -> dict[str, int]:
    """The licences that do not let anyone pass their nodes on, with the number of nodes; empty for an open graph."""
    return {licence: count for licence, count in licences_of(graph).items() if licence not in OPEN_LICENCES}


def refuse_sharing(graph: KnowledgeGraph, folder: Path, *, allow_licensed: bool = False) -> None:
    """``refuse_licences`` for the licences of a graph's nodes."""
    refuse_licences(licences_of(graph), folder, allow_licensed=allow_licensed)


def refuse_licences(licences: Iterable[str], folder: Path, *, allow_licensed: bool = False) -> None:
    """Refuse to write content under ``licences`` below ``folder``, which need not exist yet, unless it is private.

    Raises:
        KnowledgeError: a licence is not open, the folder is not private, and nobody asked for it.
    """
    closed = sorted(set(licences) - OPEN_LICENCES)
    if allow_licensed or not closed:
        return
    around = folder.expanduser().resolve()
    places = (around, *around.parents)
    in_git = next((place for place in places if (place / ".git").exists()), None)
    if in_git is None and any((place / PRIVATE_MARK).is_file() for place in places):
        return
    why = f"which is in the git work tree {in_git}" if in_git else "which is not marked private"
    raise KnowledgeError(
        "a private folder for a graph with licensed content",
        f"content under {', '.join(map(repr, closed))} for {around}, {why}",
        f"Write into a folder outside git that holds an empty file {PRIVATE_MARK}, or give --allow-licensed if you may "
        "share it.",
    )
