"""The knowledge graph with sites from UMLS in place of the open atlas's (equations 2 to 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Phrase
from knowmvg.knowledge.build import IMAGE_SIDE
from knowmvg.knowledge.entities import Entity, EntityExtractor, extract_entities
from knowmvg.knowledge.graph import LOCATED_IN, MAX_NODES, KnowledgeGraph, Node, Triplet
from knowmvg.knowledge.ontology import Atlas
from knowmvg.knowledge.umls.concepts import Concepts
from knowmvg.knowledge.umls.layout import LICENCE
from knowmvg.knowledge.umls.sites import Locator, Placed, UmlsSite

MAX_DEFINITION = 300


@dataclass(frozen=True, slots=True)
class UmlsGraph:
    """A graph and what UMLS said of each entity, by its text."""

    graph: KnowledgeGraph
    placed: Mapping[str, Placed]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Entities whose wording UMLS does not know; their nodes are the atlas's, without a site."""
        return tuple(text for text, one in self.placed.items() if one.concept is None)

    @property
    def unplaced(self) -> tuple[str, ...]:
        """Entities that UMLS knows but does not locate where their side and zone allow."""
        return tuple(text for text, one in self.placed.items() if one.concept is not None and not one.sites)

    @property
    def ambiguous(self) -> tuple[str, ...]:
        """Entities whose wording several concepts share; the first with a site was taken."""
        return tuple(text for text, one in self.placed.items() if one.others)


def build_umls_graph(
    phrases: Iterable[Phrase],
    atlas: Atlas,
    concepts: Concepts,
    *,
    extract: EntityExtractor = extract_entities,
    locator: Locator | None = None,
) -> UmlsGraph:
    """``umls_graph_of`` the entities in ``phrases``; give the training split only. The order does not matter."""
    return umls_graph_of(extract(phrases, atlas), atlas, concepts, locator=locator)


def umls_graph_of(
    entities: Mapping[str, Entity],
    atlas: Atlas,
    concepts: Concepts,
    *,
    locator: Locator | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> UmlsGraph:
    """The graph of entities by text and the sites at which UMLS locates them.

    Entities, their findings, sides and zones are in the atlas's words; sites, relations and texts come from UMLS. Every
    node with content of UMLS has the licence ``UMLS`` and names release, CUI and vocabulary as its source.

    Args:
        entities: of the training split.
        atlas: words for findings, sides and zones.
        concepts: UMLS.
        locator: how entities are located; default ``Locator(concepts, atlas)``.
        progress: told the number of entities located.

    Source: KnowMVG (arXiv 2604.01915), equations 2 to 4.

    Raises:
        KnowledgeError: no entity, one of a finding that the atlas does not know, none that UMLS locates, or a graph
            beyond ``MAX_NODES``.
    """
    if not entities:
        raise KnowledgeError(
            "training phrases with at least one present finding of the atlas", "none", "Check the data set's split."
        )
    for entity in entities.values():
        if entity.finding not in atlas.finding:
            raise KnowledgeError("entities of the atlas's findings", repr(entity.finding), "Add it to the atlas.")
    locator = locator or Locator(concepts, atlas)
    placed: dict[str, Placed] = {}
    for done, (text, entity) in enumerate(sorted(entities.items()), 1):
        placed[text] = locator.locate(entity)
        progress(done)
    sites = {site.located.cui: site for one in placed.values() for site in one.sites}
    if not sites:
        raise KnowledgeError(
            f"entities that UMLS {concepts.release} locates",
            f"none of {len(placed)}",
            "Import relations of SNOMEDCT_US, NCI or FMA, and MRSTY.",
        )
    names = _names(sites, taken=placed)
    nodes = [_entity_node(one, names, atlas, concepts.release) for one in placed.values()]
    nodes += [_site_node(sites[cui], names[cui], concepts) for cui in sorted(sites, key=names.__getitem__)]
    if len(nodes) > MAX_NODES:
        raise KnowledgeError(f"a graph of at most {MAX_NODES} nodes", str(len(nodes)), "Give the locator fewer sites.")
    triplets = sorted(
        Triplet(text, LOCATED_IN, names[site.located.cui]) for text, one in placed.items() for site in one.sites
    )
    graph = KnowledgeGraph(nodes=tuple(nodes), triplets=tuple(triplets), vocabulary=atlas.vocabulary)
    return UmlsGraph(graph, placed)


def _names(sites: Mapping[str, UmlsSite], taken: Iterable[str]) -> dict[str, str]:
    """A name for each site by CUI; one that is taken, or that several share, gets its CUI behind it."""
    used = list(taken) + [site.located.name.text for site in sites.values()]
    return {
        cui: text if used.count(text := site.located.name.text) == 1 else f"{text} ({cui})"
        for cui, site in sites.items()
    }


def _entity_node(placed: Placed, names: Mapping[str, str], atlas: Atlas, release: str) -> Node:
    entity, concept = placed.entity, placed.concept
    finding = atlas.finding[entity.finding]
    if concept is None:
        text, source, licence = f"{entity.text}: {finding.about}", atlas.cite(finding), atlas.licence
    else:
        where = f": located in {', '.join(names[site.located.cui] for site in placed.sites)}" if placed.sites else ""
        sayers = sorted({source for site in placed.sites for source in site.located.sources})
        text, licence = f"{entity.text}{where}", LICENCE
        source = f"UMLS {release} {concept.cui} {concept.matched.source}"
        source += f", sites by {' '.join(sayers)}" if sayers else ""
    return Node(
        name=entity.text,
        text=text,
        kind="entity",
        source=source,
        licence=licence,
        finding=entity.finding,
        side=entity.side,
        zone=entity.zone,
        count=entity.count,
    )


def _site_node(site: UmlsSite, name: str, concepts: Concepts) -> Node:
    located = site.located
    place = "" if site.side is None else f" (patient's {site.side}, image {IMAGE_SIDE[site.side]})"
    definitions = concepts.definitions(located.cui)
    about = f": {_short(definitions[0].text)}" if definitions else ""
    return Node(
        name=name,
        text=f"{name}{place}{about}",
        kind="site",
        source=f"UMLS {concepts.release} {located.cui} {located.name.source}",
        licence=LICENCE,
        side=site.side,
        zone=site.zone,
    )


def _short(text: str) -> str:
    """``text`` in one line, cut behind a word after at most ``MAX_DEFINITION`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_DEFINITION else line[:MAX_DEFINITION].rsplit(" ", 1)[0] + " ..."
