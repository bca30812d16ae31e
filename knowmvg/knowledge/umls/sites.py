"""From an entity of the training records to its sites in UMLS: which concept it is, and where that lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from knowmvg.core.records import Side
from knowmvg.knowledge.entities import Entity
from knowmvg.knowledge.ontology import Atlas
from knowmvg.knowledge.umls.concepts import Concepts, Match
from knowmvg.knowledge.umls.locate import HOPS, MOST_SITES, Located, anatomical, locate
from knowmvg.knowledge.vocabulary import SIDE_WORDS, TermTable, words_of

_SIDES = (Side.LEFT, Side.RIGHT)


@dataclass(frozen=True, slots=True)
class UmlsSite:
    """A place in the body with the side and the zone of the atlas that its name states."""

    located: Located
    side: Side | None
    zone: str | None


@dataclass(frozen=True, slots=True)
class Placed:
    """What UMLS says of an entity: its concept and sites; ``others`` are further concepts of the same wording."""

    entity: Entity
    concept: Match | None
    sites: tuple[UmlsSite, ...]
    others: tuple[Match, ...] = ()


class Locator:
    """``locate(entity)``: the sites of an entity by UMLS, as far as its side and zone allow.

    An entity at a place is looked up as it is (``left pleural effusion``), then its finding; any other first by its
    finding, which says more than a short wording (``effusion``). Of several concepts the first that is no body part and
    has a site is taken. An unsided site of a sided entity becomes that of the side, where UMLS has it (``left`` + its
    name), and a zone adds the place that it names.
    """

    def __init__(self, concepts: Concepts, atlas: Atlas, *, hops: int = HOPS, most: int = MOST_SITES) -> None:
        """``atlas`` gives the words for sides and zones, and those looked for in definitions; no site of it is used."""
        self._concepts, self._atlas, self._hops, self._most = concepts, atlas, hops, most
        self._anatomy = anatomy_terms(atlas)
        self._side_table = TermTable((side, SIDE_WORDS[side]) for side in _SIDES)
        self._zone_table = TermTable((name, terms.wordings) for name, terms in atlas.vocabulary.zones.items())
        self._matches: dict[str, list[Match]] = {}
        self._located: dict[str, tuple[Located, ...]] = {}

    def locate(self, entity: Entity) -> Placed:
        """The concept and the sites of an entity; neither where UMLS does not know the wording."""
        known: list[Match] = []
        terms = (entity.finding, entity.text)
        for term in dict.fromkeys(terms if entity.side is entity.zone is None else reversed(terms)):
            matches = [match for match in self._lookup(term) if not match.anatomical]
            known += [match for match in matches if match.cui not in {one.cui for one in known}]
            for match in matches:
                if sites := self._fitting(entity, match.cui):
                    return Placed(entity, match, sites, tuple(one for one in matches if one is not match))
        return Placed(entity, known[0] if known else None, (), tuple(known[1:]))

    def _fitting(self, entity: Entity, cui: str) -> tuple[UmlsSite, ...]:
        if cui not in self._located:
            self._located[cui] = locate(cui, self._concepts, hops=self._hops, most=self._most, anatomy=self._anatomy)
        located = self._located[cui]
        if not located:
            return ()
        sites = [*self._of_zone(entity), *(site for one in located for site in self._of_side(self._site(one), entity))]
        overlap = self._atlas.vocabulary.overlap
        fitting: dict[str, UmlsSite] = {}
        for site in sites:
            on_side = site.side in (None, entity.side) or entity.side in (None, Side.BILATERAL)
            if on_side and overlap(site.zone, entity.zone):
                fitting.setdefault(site.located.cui, site)
        return tuple(fitting.values())[: self._most]

    def _of_zone(self, entity: Entity) -> Iterator[UmlsSite]:
        """The places in UMLS that the zone of the entity names, on its side."""
        if entity.zone is None:
            return
        zone = self._atlas.vocabulary.zones[entity.zone]
        for side in _each(entity.side):
            for wording in dict.fromkeys((zone.label, *zone.wordings)):
                named = f"{side} {wording}" if side else wording
                match = anatomical(self._lookup(f"{named} of lung")) or anatomical(self._lookup(named))
                if match is not None:
                    yield self._site(Located(match.cui, match.name, None, 0, (match.matched.source,)))
                    break

    def _of_side(self, site: UmlsSite, entity: Entity) -> Iterator[UmlsSite]:
        """The site on the entity's sides where UMLS has it, else the site."""
        found = False
        for side in _each(entity.side) if site.side is None and entity.side is not None else ():
            match = anatomical(self._lookup(f"{side} {site.located.name.text}"))
            if match is not None:
                found = True
                one = site.located
                yield UmlsSite(Located(match.cui, match.name, one.kind, one.hops, one.sources), side, site.zone)
        if not found:
            yield site

    def _site(self, located: Located) -> UmlsSite:
        words = words_of(located.name.text)
        sides = {Side(match.name) for match in self._side_table.find(words)}
        zones = self._zone_table.find(words)
        return UmlsSite(located, sides.pop() if len(sides) == 1 else None, zones[0].name if zones else None)

    def _lookup(self, term: str) -> list[Match]:
        if term not in self._matches:
            self._matches[term] = self._concepts.lookup(term)
        return self._matches[term]


def anatomy_terms(atlas: Atlas) -> Sequence[str]:
    """The atlas's words for places without their sides: what is looked for in definitions."""
    sided = {word for side in _SIDES for word in SIDE_WORDS[side]}
    names = (" ".join(word for word in site.name.split() if word not in sided) for site in atlas.sites)
    return tuple(dict.fromkeys(name for name in names if name))


def _each(side: Side | None) -> tuple[Side | None, ...]:
    if side is None:
        return (None,)
    return _SIDES if side is Side.BILATERAL else (side,)
