"""On which side and in which zone of the chest words lie."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import Literal, TypeVar

from knowmvg.core.records import Side
from knowmvg.knowledge.language import load_language
from knowmvg.knowledge.patterns import Match, PatternTrie, Word

_PAIRED = frozenset(
    [
        *("bases", "apices", "lungs", "hila", "hemithoraces", "lobes", "regions", "zones", "midlungs"),
        *("angles", "sulci", "hemidiaphragms", "diaphragms", "axillae", "clavicles"),
    ]
)
_LEVELS = {"apical": 2, "upper": 2, "mid": 1, "perihilar": 1, "lower": 0, "basal": 0, "retrocardiac": 0}

T = TypeVar("T")


class PlaceNames:
    """The sides and zones that the words of a sentence name, found once and asked for any run of its words."""

    def __init__(self, words: Sequence[Word]) -> None:
        self._words = words
        self._sides = _sides().find_longest(words)
        self._zones = _zones().find(words)
        self._side_starts = [match.first for match in self._sides]
        self._zone_starts = [match.first for match in self._zones]

    def within(self, first: int, last: int) -> tuple[Side | None, str | None]:
        """The side and the zone that words ``[first, last)`` name, each ``None`` where they name none.

        Zones at different levels ("left lower and right upper lobe") name no zone.
        """
        sides = {match.values[0] for match in _inside(self._sides, self._side_starts, first, last)} - {"none"}
        zones = [match.values[0] for match in _inside(self._zones, self._zone_starts, first, last)]
        one_level = len({_LEVELS[zone] for zone in zones}) == 1
        return self._side(sides, first, last), zones[0] if one_level else None

    def is_plural(self, first: int, last: int) -> bool:
        """Whether the words name a part that is on both sides: "the lungs", "the bases"."""
        return any(word.raw in _PAIRED for word in self._words[first:last])

    def _side(self, sides: set[Side | Literal["none"]], first: int, last: int) -> Side | None:
        if Side.BILATERAL in sides or {Side.LEFT, Side.RIGHT} <= sides:
            return Side.BILATERAL
        if sides:
            return Side.LEFT if Side.LEFT in sides else Side.RIGHT
        return Side.BILATERAL if self.is_plural(first, last) else None


def name_place(words: Sequence[Word]) -> tuple[Side | None, str | None]:
    """The side and the zone that words name, each ``None`` where they name none."""
    return PlaceNames(words).within(0, len(words))


def _inside(matches: Sequence[Match[T]], starts: Sequence[int], first: int, last: int) -> Sequence[Match[T]]:
    chosen = matches[bisect_left(starts, first) : bisect_left(starts, last)]
    return [match for match in chosen if match.last <= last]


@cache
def _sides() -> PatternTrie[Side | Literal["none"]]:
    return PatternTrie((phrase, side) for side, phrases in load_language().places.items() for phrase in phrases)


@cache
def _zones() -> PatternTrie[str]:
    return PatternTrie((phrase, zone) for zone, phrases in load_language().zones.items() for phrase in phrases)
