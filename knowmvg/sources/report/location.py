"""How far a diagnostic phrase extends, and on which side and in which zone of the chest it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from knowmvg.core.records import Side
from knowmvg.knowledge.language import ReportLanguage, load_language
from knowmvg.knowledge.patterns import PatternTrie, Word, lemma
from knowmvg.sources.report.mentions import Mention

_LINKS = frozenset("in at of on within involving over overlying along throughout near the to a both projecting".split())
_JOINS = frozenset(["and", "or", "/"])
_PAIRED = frozenset(["bases", "apices", "lungs", "hila", "hemithoraces"])


@dataclass(frozen=True, slots=True)
class Place:
    """Words ``[first, last)`` of a phrase, with the side and the zone that they name."""

    first: int
    last: int
    side: Side | None = None
    zone: str | None = None


def locate(words: Sequence[Word], mentions: Sequence[Mention]) -> list[Place]:
    """The phrase of each mention: the noun with its modifiers and its place.

    A phrase that names no side shares that of the mention with which it is joined ("left effusion and atelectasis").
    """
    taken = [(mention.first, mention.last) for mention in mentions]
    places = []
    for number, mention in enumerate(mentions):
        start = taken[number - 1][1] if number else 0
        end = taken[number + 1][0] if number + 1 < len(taken) else len(words)
        first, last = _extend_left(words, mention.first, start), _extend_right(words, mention.last, end)
        side, zone = name_place(words[first:last])
        places.append(Place(first, last, side, zone))
    return _share(words, places)


def name_place(words: Sequence[Word]) -> tuple[Side | None, str | None]:
    """The side and the zone that words name, each ``None`` where they name none."""
    sides = {match.value for match in _sides().find(words)}
    zones = [match.value for match in _zones().find(words)]
    side: Side | None = None
    if Side.BILATERAL in sides or {Side.LEFT, Side.RIGHT} <= sides:
        side = Side.BILATERAL
    elif sides:
        side = next(iter(sides))
    elif any(word.raw in _PAIRED for word in words):
        side = Side.BILATERAL
    return side, zones[0] if zones else None


def _extend_left(words: Sequence[Word], first: int, limit: int) -> int:
    start = first
    place = first - 1
    while place >= limit:
        if _qualifies(words[place]):
            start = place
        elif words[place].lemma not in _JOINS or place - 1 < limit or not _qualifies(words[place - 1]):
            break
        place -= 1
    return start


def _extend_right(words: Sequence[Word], last: int, limit: int) -> int:
    end = place = last
    links = 0
    while place < limit and links <= 4:
        if _qualifies(words[place]):
            end, links = place + 1, 0
        elif words[place].lemma in _LINKS or words[place].lemma in _JOINS:
            links += 1
        else:
            break
        place += 1
    return end


def _share(words: Sequence[Word], places: list[Place]) -> list[Place]:
    shared = list(places)
    for number, place in enumerate(places):
        if place.side is not None or number == 0:
            continue
        before = shared[number - 1]
        if all(word.lemma in {"and", "or", "/", ",", "with", "a"} for word in words[before.last : place.first]):
            shared[number] = Place(place.first, place.last, before.side, place.zone or before.zone)
    return shared


def _qualifies(word: Word) -> bool:
    return word.lemma in _qualifiers() or word.raw[0].isdigit()


@cache
def _qualifiers() -> frozenset[str]:
    language: ReportLanguage = load_language()
    groups = [*language.places.values(), *language.zones.values(), language.anatomy, language.modifiers]
    return frozenset(lemma(word) for group in groups for phrase in group for word in phrase.split())


@cache
def _sides() -> PatternTrie[Side]:
    return PatternTrie((phrase, side) for side, phrases in load_language().places.items() for phrase in phrases)


@cache
def _zones() -> PatternTrie[str]:
    return PatternTrie((phrase, zone) for zone, phrases in load_language().zones.items() for phrase in phrases)
