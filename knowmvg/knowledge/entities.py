"""Entities of the training records (equation 2), read with the open atlas instead of a licensed model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from knowmvg.core.records import Phrase, Side
from knowmvg.knowledge.ontology import Atlas
from knowmvg.knowledge.vocabulary import Mention


@dataclass(frozen=True, slots=True)
class Entity:
    """A finding as the training records name it, in general (``pleural effusion``) or at a place (``left ...``).

    ``text`` is composed from the atlas's words only, so that no report text enters a graph; ``zone`` is a zone of the
    atlas; ``count`` is the number of training phrases that name the entity.
    """

    text: str
    finding: str
    side: Side | None = None
    zone: str | None = None
    count: int = 0


EntityExtractor = Callable[[Iterable[Phrase], Atlas], dict[str, Entity]]


def extract_entities(phrases: Iterable[Phrase], atlas: Atlas) -> dict[str, Entity]:
    """The entities of ``phrases`` by text, in alphabetical order; give the training split only.

    Each finding gives its canonical name, its wording in the phrase if that is a synonym, and, where the phrase names
    a place, its located variants. Phrases of absent, resolved and prior findings give nothing.

    Source: KnowMVG (arXiv 2604.01915), equation 2; the paper takes the entities from SciSpaCy.
    """
    counts: Counter[Entity] = Counter()
    for phrase in phrases:
        if phrase.assertion.placed:
            counts.update(entities_of(atlas.vocabulary.read(phrase), atlas))
    return settled(counts)


def entities_of(mentions: Iterable[Mention], atlas: Atlas) -> set[Entity]:
    """The entities, uncounted, that a phrase with these mentions names: general, as worded, and at their place."""
    return {entity for mention in mentions for entity in _variants(mention, atlas)}


def joined(parts: Iterable[Mapping[str, Entity]]) -> dict[str, Entity]:
    """The entities of several parts of a data set, with their counts added; the order of the parts does not matter."""
    counts: Counter[Entity] = Counter()
    for part in parts:
        for entity in part.values():
            counts[replace(entity, count=0)] += entity.count
    return settled(counts)


def settled(counts: Counter[Entity]) -> dict[str, Entity]:
    """Entities by text, in alphabetical order, from uncounted entities and their counts."""
    entities: dict[str, Entity] = {}
    for entity in sorted(
        counts, key=lambda entity: (entity.text, entity.finding, entity.side or "", entity.zone or "")
    ):
        counted = Entity(entity.text, entity.finding, entity.side, entity.zone, counts[entity])
        # Only a synonym that itself names a place can meet a located variant of the same text: the general one stays.
        entities.setdefault(entity.text, counted)
    return entities


def _variants(mention: Mention, atlas: Atlas) -> Iterator[Entity]:
    """The entities of one mention, from the general to the located."""
    finding, wording, side, zone = mention
    yield Entity(finding, finding)
    if wording != finding:
        yield Entity(wording, finding)
    if side is not None:
        yield Entity(f"{side} {finding}", finding, side)
    if zone is not None:
        label = atlas.vocabulary.zones[zone].label
        place = label if side is None else f"{side} {label}"
        yield Entity(f"{place} {finding}", finding, side, zone)
