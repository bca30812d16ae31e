"""Words for findings and places, and how a phrase is read with them: the open lexicon matcher of equation 2.

A graph keeps the vocabulary that it was built with, so that a phrase means the same when the graph is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from knowmvg.core.records import Phrase, Side

SIDE_WORDS = {
    Side.LEFT: ("left", "lt", "lul", "lll"),
    Side.RIGHT: ("right", "rt", "rul", "rml", "rll"),
    Side.BILATERAL: ("bilateral", "bilaterally", "both", "bibasilar", "bibasal", "biapical", "left and right"),
}


class Mention(NamedTuple):
    """One finding as a phrase names it: canonical finding, its wording in the phrase, and its place."""

    finding: str
    wording: str
    side: Side | None
    zone: str | None


class Match(NamedTuple):
    """A term found in words ``start`` to ``stop`` (exclusive)."""

    name: str
    wording: str
    start: int
    stop: int


def words_of(text: str) -> tuple[str, ...]:
    """Lower-case words of ``text`` in the singular: ``'Bases, left.'`` gives ``('base', 'left')``."""
    return tuple(_singular(word) for word in re.findall(r"[a-z0-9]+", text.lower()))


def _singular(word: str) -> str:
    if word == "apices":
        return "apex"
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("sses"):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "is", "us")):
        return word[:-1]
    return word


class TermTable:
    """Finds names by their wordings, leftmost and longest first."""

    def __init__(self, terms: Iterable[tuple[str, Iterable[str]]]) -> None:
        self._names = {words_of(wording): (name, wording) for name, wordings in terms for wording in wordings}
        self._longest = max((len(words) for words in self._names), default=0)

    def find(self, words: Sequence[str]) -> list[Match]:
        """All terms in ``words`` (of ``words_of``), in order and without overlap."""
        found, start = [], 0
        while start < len(words):
            match = self._at(words, start)
            if match is not None:
                found.append(match)
            start = match.stop if match else start + 1
        return found

    def _at(self, words: Sequence[str], start: int) -> Match | None:
        for stop in range(min(len(words), start + self._longest), start, -1):
            if hit := self._names.get(tuple(words[start:stop])):
                return Match(*hit, start, stop)
        return None


class _Terms(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FindingTerms(_Terms):
    """A finding's ``wordings`` (its name first), whether a side and a zone of the lung make sense for it, its genus."""

    wordings: tuple[str, ...]
    sided: bool
    zoned: bool
    is_a: str | None = None


class ZoneTerms(_Terms):
    """A zone's ``label`` before a finding, its ``wordings``, its only ``side`` if any, and zones that share area."""

    label: str
    wordings: tuple[str, ...]
    side: Side | None = None
    overlaps: tuple[str, ...] = ()


class Vocabulary(_Terms):
    """The words of an atlas, keyed by canonical name."""

    findings: dict[str, FindingTerms]
    zones: dict[str, ZoneTerms]

    @cached_property
    def _finding_table(self) -> TermTable:
        return TermTable((name, terms.wordings) for name, terms in self.findings.items())

    @cached_property
    def _zone_table(self) -> TermTable:
        return TermTable((name, terms.wordings) for name, terms in self.zones.items())

    @cached_property
    def _side_table(self) -> TermTable:
        return TermTable(SIDE_WORDS.items())

    def read(self, phrase: Phrase) -> tuple[Mention, ...]:
        """The findings that ``phrase`` names, with side and zone.

        The phrase's own ``finding``, ``side`` and ``zone`` count more than its words, except that a kind of the stated
        finding is more exact: the tube of ``endotracheal tube`` is that one. Without a known ``finding`` every finding
        in the text is a mention; a text without any gives none.
        """
        words = words_of(phrase.text)
        matches = self._finding_table.find(words)
        named = {match.name: match.wording for match in reversed(matches)}
        stated = self._canonical(phrase.finding)
        if stated is not None:
            kinds = {name: wording for name, wording in named.items() if stated in self.more_general(name)}
            named = kinds or {stated: named.get(stated, stated)}
        covered = {i for match in matches for i in range(match.start, match.stop)}
        # What is left of the text names the place: 'hilar' of 'hilar adenopathy' belongs to the finding.
        rest = [word for i, word in enumerate(words) if i not in covered]
        zone = self._zone(phrase, rest)
        side = phrase.side or self._side(words, zone)
        return tuple(self._mention(finding, wording, side, zone) for finding, wording in sorted(named.items()))

    def more_general(self, finding: str) -> tuple[str, ...]:
        """The findings of which ``finding`` is a kind, from the nearest outwards."""
        found: list[str] = []
        genus = self.findings[finding].is_a
        while genus is not None and genus in self.findings and genus not in found:
            found.append(genus)
            genus = self.findings[genus].is_a
        return tuple(found)

    def overlap(self, one: str | None, other: str | None) -> bool:
        """Whether two zones share area; ``None`` is a place without a level and shares area with every zone."""
        if one is None or other is None or one == other:
            return True
        return other in self.zones[one].overlaps

    def _mention(self, finding: str, wording: str, side: Side | None, zone: str | None) -> Mention:
        terms = self.findings[finding]
        return Mention(finding, wording, side if terms.sided else None, zone if terms.zoned else None)

    def _canonical(self, finding: str | None) -> str | None:
        if finding is None:
            return None
        words = words_of(finding)
        return next((m.name for m in self._finding_table.find(words) if m.stop - m.start == len(words)), None)

    def _zone(self, phrase: Phrase, words: Sequence[str]) -> str | None:
        written = [match.name for match in self._zone_table.find(words)]
        stated = [match.name for match in self._zone_table.find(words_of(phrase.zone or ""))]
        if not stated:
            return written[0] if written else None
        # 'lower lobe' in the text is more exact than the zone 'lower' that a reader made of it.
        return next((zone for zone in written if self.overlap(zone, stated[0])), stated[0])

    def _side(self, words: Sequence[str], zone: str | None) -> Side | None:
        sides = {Side(match.name) for match in self._side_table.find(words)}
        if len(sides) > 1:
            return Side.BILATERAL
        implied = self.zones[zone].side if zone else None
        return sides.pop() if sides else implied
