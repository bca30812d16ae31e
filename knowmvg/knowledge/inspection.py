"""What the atlas, and a graph, know of a term: for the eyes of a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.knowledge.ontology import Atlas, FindingEntry, Site
from knowmvg.knowledge.vocabulary import words_of


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a term: ``atlas`` by heading, and the ``nodes`` of a graph that it names, one dict a node."""

    term: str
    atlas: dict[str, Any] | None
    nodes: tuple[dict[str, Any], ...]


def inspect_term(term: str, atlas: Atlas, graph: KnowledgeGraph | None = None) -> Known:
    """Everything about a finding, device, zone or site, by any of its names; case and plural do not matter.

    Nodes of the graph are those of this name, and for a finding all its entities.

    Raises:
        KnowledgeError: neither the atlas nor the graph knows the term; similar names are given.
    """
    entry = atlas.look_up(term)
    zone = next((zone for zone in atlas.zones if words_of(term) in map(words_of, (zone.name, *zone.words))), None)
    if isinstance(entry, FindingEntry):
        about: dict[str, Any] | None = _of_finding(entry, atlas)
    elif isinstance(entry, Site):
        about = _of_site(entry, atlas)
    else:
        about = None if zone is None else _of_zone(zone.name, atlas)
    nodes = () if graph is None else tuple(_nodes(term, entry, graph))
    if about is None and not nodes:
        near = get_close_matches(" ".join(words_of(term)), dict.fromkeys(_names(atlas, graph)), n=3)
        hint = f"Similar: {', '.join(near)}." if near else "Add it to an atlas of your own: `knowmvg kg atlas`."
        raise KnowledgeError("a term that the atlas or the graph knows", repr(term[:80]), hint)
    return Known(term, about, nodes)


def _of_finding(entry: FindingEntry, atlas: Atlas) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "about": entry.about,
        "synonyms": list(entry.synonyms),
        "is a": list(atlas.more_general(entry.name)),
        "kinds": [other.name for other in atlas.findings if other.is_a == entry.name],
        "sites": list(entry.sites),
        "source": atlas.cite(entry),
        "licence": atlas.licence,
    }


def _of_site(site: Site, atlas: Atlas) -> dict[str, Any]:
    return {
        "name": site.name,
        "kind": "site",
        "about": site.about,
        "synonyms": list(site.synonyms),
        "side": None if site.side is None else str(site.side),
        "zone": site.zone,
        "part of": list(atlas.enclosing(site.name)),
        "parts": list(atlas.parts(site.name)),
        "findings": [entry.name for entry in atlas.findings if site.name in entry.sites],
        "source": atlas.cite(site),
        "licence": atlas.licence,
    }


def _of_zone(name: str, atlas: Atlas) -> dict[str, Any]:
    zone = next(zone for zone in atlas.zones if zone.name == name)
    return {
        "name": zone.name,
        "kind": "zone",
        "synonyms": list(zone.words),
        "side": None if zone.side is None else str(zone.side),
        "overlaps": list(atlas.vocabulary.zones[name].overlaps),
        "sites": [site.name for site in atlas.sites if site.zone == name],
        "source": atlas.cite(zone),
        "licence": atlas.licence,
    }


def _nodes(term: str, entry: Site | FindingEntry | None, graph: KnowledgeGraph) -> Iterator[dict[str, Any]]:
    finding = entry.name if isinstance(entry, FindingEntry) else None
    wanted = {words_of(term)} | ({words_of(entry.name)} if entry is not None else set())
    for place, node in enumerate(graph.nodes):
        if words_of(node.name) in wanted or (finding is not None and node.finding == finding):
            yield {
                "name": node.name,
                "kind": node.kind,
                "text": node.text,
                "count": node.count,
                "neighbours": [graph.nodes[other].name for other in graph.neighbours(place)],
                "source": node.source,
                "licence": node.licence,
            }


def _names(atlas: Atlas, graph: KnowledgeGraph | None) -> list[str]:
    known = [wording for entry in atlas.named for wording in (entry.name, *entry.synonyms)]
    return known + ([] if graph is None else [node.name for node in graph.nodes])
