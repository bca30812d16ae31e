"""Where a command finds a graph."""

from __future__ import annotations

from pathlib import Path

from knowmvg.knowledge.graph import KnowledgeGraph, load_graph

_IN_MODEL = "knowledge.json"


def open_graph(path: Path) -> KnowledgeGraph:
    """The graph of a file, or of a model folder. Raises ``KnowledgeError`` for anything else."""
    return load_graph(path / _IN_MODEL if path.is_dir() else path)
