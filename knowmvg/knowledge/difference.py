"""What changed between two graphs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from knowmvg.knowledge.graph import KnowledgeGraph, Triplet

_COMPARED = ("text", "kind", "source", "licence", "finding", "side", "zone", "count")


@dataclass(frozen=True, slots=True)
class Difference:
    """From one graph to another: nodes and facts that came and went, and per node in both what it now says instead.

    ``changed`` maps a node to ``{field: (before, after)}``.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: dict[str, dict[str, tuple[Any, Any]]]
    facts_added: tuple[Triplet, ...]
    facts_removed: tuple[Triplet, ...]
    words_changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return any(asdict(self).values())


def difference(before: KnowledgeGraph, after: KnowledgeGraph) -> Difference:
    """The difference, everything in alphabetical order; false where the graphs are equal."""
    old, new = ({node.name: node for node in graph.nodes} for graph in (before, after))
    changed = {}
    for name in sorted(old.keys() & new.keys()):
        pairs = {field: (getattr(old[name], field), getattr(new[name], field)) for field in _COMPARED}
        if fields := {field: pair for field, pair in pairs.items() if pair[0] != pair[1]}:
            changed[name] = fields
    was, now = set(before.triplets), set(after.triplets)
    findings, others = before.vocabulary.findings, after.vocabulary.findings
    words = sorted(name for name in findings.keys() | others.keys() if findings.get(name) != others.get(name))
    return Difference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=changed,
        facts_added=tuple(sorted(now - was)),
        facts_removed=tuple(sorted(was - now)),
        words_changed=tuple(words),
    )
