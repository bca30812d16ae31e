"""Where the findings of a sentence lie: the place that a phrase names, that of a neighbour, that of the sentence."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from knowmvg.core.records import Side
from knowmvg.knowledge.language import load_language
from knowmvg.knowledge.patterns import Word
from knowmvg.sources.report.extents import find_extents
from knowmvg.sources.report.location import PlaceNames
from knowmvg.sources.report.mentions import Mention
from knowmvg.sources.report.word_classes import JOINS, carriers, ends, is_placeholder, qualifies

_CLAUSE_ENDS = frozenset(["but", "however", "although", "while", "whereas", ";"])
_ALIKE = JOINS | {","}


@dataclass(frozen=True, slots=True)
class Place:
    """Words ``[first, last)`` of a phrase, with the side and the zone that they name.

    ``follows`` says that the side stands after the noun, as in "opacity in the left base"; ``open`` that the phrase may
    take the place of another: it is that of a finding, has a side and is not denied as normal; ``wide`` that it is as
    a rule on both sides and takes none from a neighbour.
    """

    first: int
    last: int
    side: Side | None = None
    zone: str | None = None
    follows: bool = False
    open: bool = True
    wide: bool = False


def locate(words: Sequence[Word], mentions: Sequence[Mention]) -> list[Place]:
    """The phrase of each mention: the noun with its modifiers and its place.

    A phrase that names no place takes that of a finding with which it is joined ("left effusion and atelectasis",
    "scarring or atelectasis at the right base"), else the nearest that the sentence names apart from its findings
    ("in the left lower lobe there is consolidation").
    """
    names = PlaceNames(words)
    places = [
        _own_place(words, names, mention, first, last)
        for mention, (first, last) in zip(mentions, find_extents(words, mentions), strict=True)
    ]
    if all(place.side or not mention.sided or mention.normal for mention, place in zip(mentions, places, strict=True)):
        return places
    places = carry(words, places)
    places = _from_sentence(words, names, mentions, places)
    return carry(words, places)


def _own_place(words: Sequence[Word], names: PlaceNames, mention: Mention, first: int, last: int) -> Place:
    if not mention.sided:
        return Place(first, last, open=False)
    if mention.device:
        entry = next((place for place in range(mention.last, last) if words[place].lemma in ends()), last)
        side = names.within(first, mention.last)[0] or names.within(mention.last, entry)[0]
        return Place(first, last, side, open=False)
    side, zone = names.within(first, last)
    if mention.normal:  # "the lungs are clear" denies nothing on both sides alone
        return Place(first, last, None if side is Side.BILATERAL else side, open=False)
    follows = names.within(mention.last, last)[0] is not None
    return Place(first, last, side, zone, follows, wide=mention.finding in load_language().of_both_lungs)


def carry(words: Sequence[Word], places: Sequence[Place]) -> list[Place]:
    """Places with those that joined findings take from each other; ``places`` are those of one sentence, in order."""
    carried = list(places)
    for number in range(len(carried) - 2, -1, -1):
        here, after = carried[number], carried[number + 1]
        if _takes(here, after) and after.follows and _between(words, here, after) <= _ALIKE:
            carried[number] = replace(here, side=after.side, zone=here.zone or after.zone, follows=True)
    for number in range(1, len(carried)):
        before, here = carried[number - 1], carried[number]
        if _takes(here, before) and _between(words, before, here) <= carriers():
            carried[number] = replace(here, side=before.side, zone=here.zone or before.zone)
    return carried


def _takes(here: Place, other: Place) -> bool:
    return here.open and here.side is None and not here.wide and other.open and other.side is not None


def _between(words: Sequence[Word], before: Place, after: Place) -> set[str]:
    return {
        word.lemma for word in words[before.last : after.first] if not (is_placeholder(word) or word.raw[0].isdigit())
    }


def _from_sentence(
    words: Sequence[Word], names: PlaceNames, mentions: Sequence[Mention], places: Sequence[Place]
) -> list[Place]:
    named = list(_free_places(words, names, places))
    if not named:
        return list(places)
    starts = [place.first for place in named]
    clauses = list(accumulate(word.lemma in _CLAUSE_ENDS for word in words))
    found = []
    for mention, here in zip(mentions, places, strict=True):
        if here.side is None and (here.open or (mention.device and mention.sided)):
            after = bisect_left(starts, here.last)
            near = [
                place
                for place in named[max(after - 1, 0) : after + (not mention.device)]
                if clauses[place.first] == clauses[here.first]
            ]
            if near:
                nearest = min(near, key=lambda place: max(place.first - here.last, here.first - place.last))
                here = replace(here, side=nearest.side, zone=here.zone or nearest.zone)
        found.append(here)
    return found


def _free_places(words: Sequence[Word], names: PlaceNames, places: Sequence[Place]) -> Iterator[Place]:
    """The runs of words of place that belong to no finding, where they name a side.

    Plurals alone do not count here: "the lungs are well expanded" places nothing.
    """
    bounds = zip([0, *(place.last for place in places)], [*(place.first for place in places), len(words)], strict=True)
    for start, end in bounds:
        first = start
        for place in range(start, end + 1):
            if place == end or not (qualifies(words[place]) or (words[place].lemma in JOINS and place > first)):
                side, zone = names.within(first, place)
                if side is not None and not (side is Side.BILATERAL and names.is_plural(first, place)):
                    yield Place(first, place, side, zone)
                first = place + 1
