"""Where a concept lies (equation 3): by the relations of UMLS, by the words of its definitions where it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowmvg.knowledge.umls.concepts import ANATOMY, Concepts, Link, Match, Name, source_place
from knowmvg.knowledge.umls.relations import LOCATING, Kind
from knowmvg.knowledge.vocabulary import TermTable, words_of

HOPS = 3
MOST_SITES = 12
# Of the more general concepts on one level; a release has a handful.
_MOST_PARENTS = 50


@dataclass(frozen=True, slots=True)
class Located:
    """A place in the body at which a concept lies.

    ``kind`` is the relation that says so, ``None`` for mere words (of a definition, of a zone); ``hops`` how many times
    a more general concept was asked instead; ``sources`` the vocabularies that say so.
    """

    cui: str
    name: Name
    kind: Kind | None
    hops: int
    sources: tuple[str, ...]


def locate(
    cui: str, concepts: Concepts, *, hops: int = HOPS, most: int = MOST_SITES, anatomy: Sequence[str] = ()
) -> tuple[Located, ...]:
    """The places ``L_e`` of the concept ``cui``, the best first; none where UMLS says nothing.

    Finding sites, locations and wholes that are anatomical (``concepts.ANATOMY``) are taken of the concept itself;
    where there are none, of the concepts that it is a kind of, and so on. The nearest level that has any is the answer.

    Args:
        cui: the concept.
        concepts: UMLS.
        hops: how many levels of *is a* are gone up at most.
        most: how many places are given at most.
        anatomy: terms of anatomy that are looked for in the definitions where no relation locates the concept.

    Source: KnowMVG (arXiv 2604.01915), equation 3, which leaves open what of UMLS is meant.
    """
    level, seen = [cui], {cui}
    for hop in range(hops + 1):
        if found := _related(level, concepts, hop):
            return found[:most]
        above = [link.cui for one in level for link in concepts.links(one, (Kind.IS_A,)) if link.cui not in seen]
        level = list(dict.fromkeys(above))[:_MOST_PARENTS]
        seen.update(level)
        if not level:
            break
    return _defined(cui, concepts, anatomy)[:most]


def _related(level: Sequence[str], concepts: Concepts, hop: int) -> tuple[Located, ...]:
    found: dict[str, tuple[Link, Name]] = {}
    for one in level:
        for link in concepts.links(one, LOCATING):
            if ANATOMY.isdisjoint(concepts.types(link.cui)) or (name := concepts.name(link.cui)) is None:
                continue
            if link.cui not in found or link.kind < found[link.cui][0].kind:
                found[link.cui] = link, name
    ranked = sorted(found.values(), key=_rank)
    return tuple(Located(link.cui, name, link.kind, hop, link.sources) for link, name in ranked)


def _rank(pair: tuple[Link, Name]) -> tuple[int, int, int, str, str]:
    link, name = pair
    best = min((source_place(source) for source in link.sources), default=0)
    return int(link.kind), -len(link.sources), best, name.text.casefold(), link.cui


def _defined(cui: str, concepts: Concepts, anatomy: Sequence[str]) -> tuple[Located, ...]:
    table = TermTable((term, (term,)) for term in anatomy)
    found: dict[str, Located] = {}
    for definition in concepts.definitions(cui) if anatomy else ():
        for term in table.find(words_of(definition.text)):
            site = anatomical(concepts.lookup(term.name))
            if site is not None and site.cui != cui:
                found.setdefault(site.cui, Located(site.cui, site.name, None, 0, (definition.source,)))
    return tuple(found.values())


def anatomical(matches: Sequence[Match]) -> Match | None:
    """The first match that is a place in the body."""
    return next((match for match in matches if match.anatomical), None)
