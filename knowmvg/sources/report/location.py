"""How far a diagnostic phrase extends, and on which side and in which zone of the chest it lies."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate

from knowmvg.core.records import Side
from knowmvg.knowledge.language import load_language
from knowmvg.knowledge.patterns import PatternTrie, Word, lemma
from knowmvg.sources.report.mentions import Mention

MAX_LOOSE_WORDS = 6
_JOINS = frozenset(["and", "or", "/"])
_PAIRED = frozenset(["bases", "apices", "lungs", "hila", "hemithoraces", "lobes", "regions", "zones"])
_CLAUSE_ENDS = frozenset(["but", "however", "although", "while", "whereas", ";"])
_PLACEHOLDER = re.compile(r"x{3,}|_+")


@dataclass(frozen=True, slots=True)
class Place:
    """Words ``[first, last)`` of a phrase, with the side and the zone that they name.

    ``follows`` says that the side stands after the noun, as in "opacity in the left base".
    """

    first: int
    last: int
    side: Side | None = None
    zone: str | None = None
    follows: bool = False


def locate(words: Sequence[Word], mentions: Sequence[Mention]) -> list[Place]:
    """The phrase of each mention: the noun with its modifiers and its place.

    A phrase that names no place takes that of a finding with which it is joined ("left effusion and atelectasis",
    "scarring or atelectasis at the right base"), else the nearest that the sentence names apart from its findings
    ("in the left lower lobe there is consolidation").
    """
    places = _extents(words, mentions)
    places = _carry(words, places)
    places = _from_sentence(words, places)
    return _carry(words, places)


def name_place(words: Sequence[Word]) -> tuple[Side | None, str | None]:
    """The side and the zone that words name, each ``None`` where they name none."""
    sides = {side for match in _sides().find(words) for side in match.values}
    zones = [zone for match in _zones().find(words) for zone in match.values]
    side: Side | None = None
    if Side.BILATERAL in sides or {Side.LEFT, Side.RIGHT} <= sides:
        side = Side.BILATERAL
    elif sides:
        side = next(iter(sides))
    elif any(word.raw in _PAIRED for word in words):
        side = Side.BILATERAL
    return side, zones[0] if zones else None


def _extents(words: Sequence[Word], mentions: Sequence[Mention]) -> list[Place]:
    befores = [0, *(mention.last for mention in mentions[:-1])]
    firsts = [_extend_left(words, mention.first, limit) for mention, limit in zip(mentions, befores, strict=True)]
    limits = [*firsts[1:], len(words)]
    lasts = [_extend_right(words, mention.last, limit) for mention, limit in zip(mentions, limits, strict=True)]
    places = []
    for mention, first, last in zip(mentions, firsts, lasts, strict=True):
        follows = name_place(words[mention.last : last])[0] is not None
        places.append(Place(first, last, *name_place(words[first:last]), follows))
    return places


def _extend_left(words: Sequence[Word], first: int, limit: int) -> int:
    """Over modifiers and places before the noun, over "areas of" and over "and" where it joins no other finding's."""
    start = _run_start(words, first, limit)
    while start - 1 > limit:
        if words[start - 1].lemma == "of" and words[start - 2].lemma in _measures():
            start = _run_start(words, start - 2, limit)
            continue
        earlier = _run_start(words, start - 1, limit)
        if (
            words[start - 1].lemma not in _JOINS
            or earlier == start - 1
            or _is_foreign(words, earlier, start - 1, limit)
        ):
            break
        start = earlier
    while start < first and (words[start].lemma == "than" or _PLACEHOLDER.fullmatch(words[start].raw)):
        start += 1
    return start


def _is_foreign(words: Sequence[Word], first: int, last: int, limit: int) -> bool:
    """Whether words before an "and" place another finding: "fluid on the left and cardiomegaly"."""
    run = {word.lemma for word in words[first:last]}
    linked = first > 0 and words[first - 1].lemma in _links()
    adjoins = 0 < limit == first
    return (bool(run & _place_words()) and (linked or adjoins)) or (limit > 0 and bool(run & _anatomy()))


def _run_start(words: Sequence[Word], first: int, limit: int) -> int:
    while first > limit and _qualifies(words[first - 1]):
        first -= 1
    return first


def _extend_right(words: Sequence[Word], last: int, limit: int) -> int:
    """Over "in the right lower lobe", also after "is seen"; ends with a word of place."""
    end = last
    for place in range(last, min(limit, len(words))):
        word = words[place]
        if place - end > MAX_LOOSE_WORDS:
            break
        if word.lemma in _place_words():
            end = place + 1
        elif not (_qualifies(word) or word.lemma in _links() or (word.lemma in _JOINS and end > last)):
            break
    return end


def _carry(words: Sequence[Word], places: Sequence[Place]) -> list[Place]:
    carried = list(places)
    for number in range(len(carried) - 2, -1, -1):
        here, after = carried[number], carried[number + 1]
        if here.side is None and after.follows and _between(words, here, after) <= _JOINS | {","}:
            carried[number] = replace(here, side=after.side, zone=here.zone or after.zone, follows=True)
    for number in range(1, len(carried)):
        before, here = carried[number - 1], carried[number]
        if here.side is None and before.side and _between(words, before, here) <= _carriers():
            carried[number] = replace(here, side=before.side, zone=here.zone or before.zone)
    return carried


def _between(words: Sequence[Word], before: Place, after: Place) -> set[str]:
    return {word.lemma for word in words[before.last : after.first] if not _PLACEHOLDER.fullmatch(word.raw)}


def _from_sentence(words: Sequence[Word], places: Sequence[Place]) -> list[Place]:
    named = list(_free_places(words, places))
    starts = [place.first for place in named]
    clauses = list(accumulate(word.lemma in _CLAUSE_ENDS for word in words))
    found = []
    for here in places:
        if here.side is None:
            after = bisect_left(starts, here.last)
            near = [
                place for place in named[max(after - 1, 0) : after + 1] if clauses[place.first] == clauses[here.first]
            ]
            if near:
                nearest = min(near, key=lambda place: max(place.first - here.last, here.first - place.last))
                here = replace(here, side=nearest.side, zone=here.zone or nearest.zone)
        found.append(here)
    return found


def _free_places(words: Sequence[Word], places: Sequence[Place]) -> Iterator[Place]:
    """The runs of words of place that belong to no finding, where they name a side.

    Plurals alone do not count here: "the lungs are well expanded" places nothing.
    """
    bounds = zip([0, *(place.last for place in places)], [*(place.first for place in places), len(words)], strict=True)
    for start, end in bounds:
        first = start
        for place in range(start, end + 1):
            if place == end or not _qualifies(words[place]):
                side, zone = name_place(words[first:place])
                plural = any(word.raw in _PAIRED for word in words[first:place])
                if side is not None and not (plural and side is Side.BILATERAL):
                    yield Place(first, place, side, zone)
                first = place + 1


def _qualifies(word: Word) -> bool:
    return (
        word.lemma in _modifiers()
        or word.lemma in _place_words()
        or word.raw[0].isdigit()
        or _PLACEHOLDER.fullmatch(word.raw) is not None
    )


@cache
def _modifiers() -> frozenset[str]:
    return frozenset(map(lemma, load_language().modifiers))


@cache
def _anatomy() -> frozenset[str]:
    return frozenset(lemma(word) for phrase in load_language().anatomy for word in phrase.split())


@cache
def _links() -> frozenset[str]:
    return frozenset(map(lemma, load_language().links))


@cache
def _measures() -> frozenset[str]:
    return frozenset(map(lemma, load_language().measures))


@cache
def _carriers() -> frozenset[str]:
    return _JOINS | {lemma(word) for word in load_language().carriers}


@cache
def _place_words() -> frozenset[str]:
    groups = [*load_language().places.values(), *load_language().zones.values()]
    named = {lemma(word) for group in groups for phrase in group for word in phrase.split()}
    return (_anatomy() | named) - _links()


@cache
def _sides() -> PatternTrie[Side]:
    return PatternTrie((phrase, side) for side, phrases in load_language().places.items() for phrase in phrases)


@cache
def _zones() -> PatternTrie[str]:
    return PatternTrie((phrase, zone) for zone, phrases in load_language().zones.items() for phrase in phrases)
