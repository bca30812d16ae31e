"""From the phrases of the training split to the knowledge graph (equations 2 to 4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Phrase, Side
from knowmvg.knowledge.entities import Entity, EntityExtractor, extract_entities
from knowmvg.knowledge.graph import (
    IS_A,
    LOCATED_IN,
    MAX_NODES,
    PART_OF,
    KnowledgeGraph,
    Node,
    Relation,
    Triplet,
)
from knowmvg.knowledge.ontology import Atlas, Site

# The patient faces the reader of a frontal radiograph.
IMAGE_SIDE = {Side.LEFT: "right", Side.RIGHT: "left"}


def build_graph(
    phrases: Iterable[Phrase],
    atlas: Atlas,
    *,
    extract: EntityExtractor = extract_entities,
    relations: Collection[Relation] = (LOCATED_IN,),
) -> KnowledgeGraph:
    """The graph of the entities in ``phrases`` and the sites where they lie; give the training split only.

    Every entity is ``located_in`` the sites of its finding that its side and zone allow, and in the lung's sites of its
    zone: ``left pleural effusion`` never touches a site on the right. The order of ``phrases`` does not matter.

    Source: KnowMVG (arXiv 2604.01915), equations 2 to 4; the open atlas takes the place of UMLS.

    Raises:
        KnowledgeError: no phrase names a finding that the atlas knows.
    """
    return graph_of(extract(phrases, atlas), atlas, relations=relations)


def graph_of(
    entities: Mapping[str, Entity], atlas: Atlas, *, relations: Collection[Relation] = (LOCATED_IN,)
) -> KnowledgeGraph:
    """The graph of entities by text (equations 3 and 4).

    The paper has one relation, ``located_in``. With ``part_of`` the sites around the sites join the graph, up to the
    thorax; with ``is_a`` the more general findings do, as entities that no phrase need have named (``count`` 0).

    Raises:
        KnowledgeError: no entity, one of a finding that the atlas does not know, or a graph beyond ``MAX_NODES``.
    """
    if not entities:
        raise KnowledgeError(
            "training phrases with at least one present finding of the atlas",
            "none",
            "Check the data set's split, or add the findings to the atlas.",
        )
    for entity in entities.values():
        if entity.finding not in atlas.finding:
            raise KnowledgeError("entities of the atlas's findings", repr(entity.finding), "Add it to the atlas.")
    if IS_A in relations:
        entities = {**{name: Entity(name, name) for name in _more_general(entities, atlas)}, **entities}
    located = {entity.text: locations(entity, atlas) for entity in entities.values()}
    names = {site for places in located.values() for site in places}
    triplets = [Triplet(text, LOCATED_IN, site) for text, places in located.items() for site in places]
    if PART_OF in relations:
        names |= {outer for name in names for outer in atlas.enclosing(name)}
        triplets += [Triplet(name, PART_OF, outer) for name in names if (outer := atlas.site[name].part_of)]
    if IS_A in relations:
        triplets += [fact for entity in entities.values() for fact in _kind_of(entity, atlas)]
    if LOCATED_IN not in relations:
        triplets = [fact for fact in triplets if fact.relation != LOCATED_IN]
    nodes = [_entity_node(entity, located[text], atlas) for text, entity in sorted(entities.items())]
    nodes += [_site_node(atlas.site[name], atlas) for name in sorted(names)]
    if len(nodes) > MAX_NODES:
        todo = "Leave out what reports rarely say: `knowmvg kg build --min-count 2`."
        raise KnowledgeError(f"a graph of at most {MAX_NODES} nodes", str(len(nodes)), todo)
    return KnowledgeGraph(nodes=tuple(nodes), triplets=tuple(sorted(triplets)), vocabulary=atlas.vocabulary)


def _more_general(entities: Mapping[str, Entity], atlas: Atlas) -> set[str]:
    return {name for entity in entities.values() for name in (entity.finding, *atlas.more_general(entity.finding))}


def _kind_of(entity: Entity, atlas: Atlas) -> Iterator[Triplet]:
    """What an entity is a kind of: a located or worded one of its finding, a finding of the more general one."""
    genus = entity.finding if entity.text != entity.finding else atlas.finding[entity.finding].is_a
    if genus is not None:
        yield Triplet(entity.text, IS_A, genus)


def locations(entity: Entity, atlas: Atlas) -> tuple[str, ...]:
    """The sites ``L_e`` of an entity (equation 3), in the atlas's order, the most typical first."""
    typical = [atlas.site[name] for name in atlas.finding[entity.finding].sites]
    at_level = [
        site
        for site in atlas.sites
        if entity.zone is not None and site.zone == entity.zone and "lungs" in atlas.enclosing(site.name)
    ]
    overlap = atlas.vocabulary.overlap
    fitting = [site for site in (*at_level, *typical) if _on_side(site, entity) and overlap(site.zone, entity.zone)]
    return tuple(dict.fromkeys(site.name for site in fitting))


def _on_side(site: Site, entity: Entity) -> bool:
    return site.side is None or entity.side in (None, Side.BILATERAL, site.side)


def _entity_node(entity: Entity, sites: tuple[str, ...], atlas: Atlas) -> Node:
    finding = atlas.finding[entity.finding]
    return Node(
        name=entity.text,
        text=f"{entity.text}: {finding.about}; located in {', '.join(sites)}",
        kind="entity",
        source=atlas.cite(finding),
        licence=atlas.licence,
        finding=entity.finding,
        side=entity.side,
        zone=entity.zone,
        count=entity.count,
    )


def _site_node(site: Site, atlas: Atlas) -> Node:
    # The sides come first: they are what tells two otherwise equal sites apart.
    place = "" if site.side is None else f" (patient's {site.side}, image {IMAGE_SIDE[site.side]})"
    around = f"; part of {site.part_of}" if site.part_of else ""
    return Node(
        name=site.name,
        text=f"{site.name}{place}: {site.about}{around}",
        kind="site",
        source=atlas.cite(site),
        licence=atlas.licence,
        side=site.side,
        zone=site.zone,
    )
