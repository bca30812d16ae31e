"""Where a sentence says left, right, upper, basal: the stretches of words to take out so that the rest still reads.

A stretch is one of four: a prepositional phrase ("in the left lower lobe") goes as a whole; a modifier of a noun ("left
lower lobe consolidation") goes with its anatomy; of a subject ("the right lung is clear") only the words of place go;
and a place that is a noun itself ("both bases are clear") becomes "lung".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from knowmvg.core.records import Side
from knowmvg.knowledge.language import load_language
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.knowledge.patterns import PatternTrie, Word, expand, lemma
from knowmvg.sources.report.mentions import find_mentions

_BETWEEN = frozenset(
    ["and", "or", "/", "&", ",", "to", "greater", "less", "more", "larger", "smaller", "worse", "than", ">", "<"]
)
_AFTER_SIDE = frozenset(["sided", "side", "ward"])
_ARTICLES = frozenset(["the", "a", "an", "its", "either", "each"])
_PREPOSITIONS = frozenset(
    ["in", "at", "of", "on", "within", "behind", "over", "overlying", "along", "throughout", "involving", "near",
     "around", "to", "projecting", "from", "adjacent", "toward", "towards", "above", "below", "beneath", "for", "into"]
)  # fmt: skip
_DEGREES = frozenset(
    ["greater", "worse", "more", "less", "larger", "predominantly", "mostly", "mainly", "primarily", "than", "as"]
)
_GOES_ON = frozenset(
    ["is", "are", "was", "were", "be", "has", "have", "and", "or", "but", "with", "without", "which", "that", "may",
     "can", "could", "might", "should", "will", "as", "than", "since", "from", "due", "not", "again", "also", "now",
     "remain", "remains", "appear", "appears", "show", "shows", "demonstrate", "demonstrates", "consistent",
     "compatible", "there",
     "suggestive", "suspicious", "concerning", "likely", "possibly", "probably", "compared", "versus"]
)  # fmt: skip
_BE = frozenset(["is", "are", "was", "were", "remain", "remains"])
_NOUNS = frozenset(["apex", "base", "hilum", "hemidiaphragm", "diaphragm", "lingula", "midzone", "midlung"])
_TURNS = ("dextro", "levo")
"""Beginnings of words that say to which side the spine curves."""
_PLURALS = frozenset(["apices", "hila", "hili"])
_LOOK_BACK = 4


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words ``[first, last)`` to take out, and what stands in their place."""

    first: int
    last: int
    instead: str = ""


def place_stretches(words: Sequence[Word]) -> list[Stretch]:
    """The stretches of one sentence, in order and without overlap.

    Words of place inside the name of a finding ("costophrenic angle blunting", "hilar adenopathy") stay, and so do
    those for the chambers of the heart.
    """
    named = _named(words)
    places = _places(words, named)
    stretches: list[Stretch] = []
    cursor = 0
    for first in sorted(places):
        if first < cursor:
            continue
        if (rest := _straight(words[first])) is not None:
            stretches.append(Stretch(first, first + 1, rest))
            cursor = first + 1
            continue
        for stretch in _taken(words, places, named, first, cursor):
            stretches.append(stretch)
            cursor = stretch.last
    return stretches


def _named(words: Sequence[Word]) -> dict[int, str]:
    """Words of findings' names, with the finding."""
    return {k: mention.finding for mention in find_mentions(words) for k in range(mention.first, mention.last)}


def _places(words: Sequence[Word], named: dict[int, str]) -> frozenset[int]:
    found: set[int] = set()
    for match in _sides().find_longest(words):
        if "none" not in match.values:
            found.update(range(match.first, match.last))
    for zone in _zones().find(words):
        span = range(zone.first, zone.last)
        if not any(k in named and words[k].lemma in _literals(named[k]) for k in span):
            found.update(span)
    return frozenset(found)


def _taken(
    words: Sequence[Word], places: frozenset[int], named: dict[int, str], start: int, limit: int
) -> Iterator[Stretch]:
    first, last = _run(words, places, named, start, limit)
    ends = last == len(words) or (last not in named and _goes_on(words[last]))
    before = _phrase_start(words, named, first, limit) if ends else None
    if before is not None:
        yield Stretch(before, last)
    elif not ends:
        yield Stretch(first, last)
    elif words[last - 1].lemma not in _NOUNS and any(
        k not in places and words[k].lemma not in _BETWEEN for k in range(first, last)
    ):
        kept = [k for k in range(first, last) if k not in places and words[k].lemma in _anatomy()]
        yield from _around(first, last, kept[-1] if kept else last)
    else:
        yield Stretch(first, last, _instead(words, first, last))


def _straight(word: Word) -> str | None:
    """The word without its turn, "scoliosis" for "dextroscoliosis"; ``None`` for a word that has none."""
    turn = next((turn for turn in _TURNS if word.raw.startswith(turn)), None)
    return word.raw.removeprefix(turn) if turn is not None else None


def _goes_on(word: Word) -> bool:
    """Whether a word cannot be the noun that the words of place before it modify."""
    return word.is_mark or word.lemma in _GOES_ON | _PREPOSITIONS | _ARTICLES or word.raw.endswith("ing")


def _around(first: int, last: int, kept: int) -> Iterator[Stretch]:
    """All but the last word of anatomy, the noun."""
    if first < kept:
        yield Stretch(first, kept)
    if kept + 1 < last:
        yield Stretch(kept + 1, last)


def _run(
    words: Sequence[Word], places: frozenset[int], named: dict[int, str], start: int, limit: int
) -> tuple[int, int]:
    """The words of place and anatomy around ``start`` that belong together."""

    def belongs(k: int) -> bool:
        return (k in places and _straight(words[k]) is None) or (k not in named and words[k].lemma in _anatomy())

    first = start
    while first > limit and belongs(first - 1):
        first -= 1
    last = start + 1
    while last < len(words):
        if belongs(last) or (last - 1 in places and words[last].lemma in _AFTER_SIDE):
            last += 1
            continue
        ahead = last
        while ahead < len(words) and words[ahead].lemma in _BETWEEN | _ARTICLES:
            ahead += 1
        if ahead == last or ahead >= len(words) or ahead not in places:
            break
        last = ahead + 1
    return first, last


def _phrase_start(words: Sequence[Word], named: dict[int, str], first: int, limit: int) -> int | None:
    """Where the prepositional phrase begins that the run ends, or ``None`` if there is no preposition."""
    if first - 2 >= limit and words[first - 1].raw == ":" and words[first - 2].lemma == "position":
        start = first - 2
        return start - 1 if start > limit and words[start - 1].raw == "," else start
    modifiers = _modifiers() | _ARTICLES
    at = first
    while at > limit and at > first - _LOOK_BACK and words[at - 1].lemma in modifiers and at - 1 not in named:
        at -= 1
    if at == limit or words[at - 1].lemma not in _PREPOSITIONS or at - 1 in named:
        return None
    at -= 1
    while at > limit and words[at - 1].lemma in _PREPOSITIONS | _DEGREES and at - 1 not in named:
        at -= 1
    return at


def _instead(words: Sequence[Word], first: int, last: int) -> str:
    nouns = [word for word in words[first:last] if word.lemma in _NOUNS]
    if nouns and not (first > 0 and words[first - 1].is_mark):
        many = any(word.raw.endswith("s") or word.raw in _PLURALS for word in nouns)
        return "lungs" if many else "lung"
    after = last == len(words) or words[last].is_mark
    return "present" if after and first > 0 and words[first - 1].lemma in _BE else ""


@cache
def _sides() -> PatternTrie[Side | Literal["none"]]:
    return PatternTrie((phrase, side) for side, phrases in load_language().places.items() for phrase in phrases)


@cache
def _zones() -> PatternTrie[str]:
    return PatternTrie((phrase, zone) for zone, phrases in load_language().zones.items() for phrase in phrases)


@cache
def _anatomy() -> frozenset[str]:
    words = {lemma(word) for phrase in load_language().anatomy for word in phrase.split()}
    return frozenset(words - {lemma(word) for word in load_language().links})


@cache
def _modifiers() -> frozenset[str]:
    return frozenset(map(lemma, load_language().modifiers))


@cache
def _literals(finding: str) -> frozenset[str]:
    """The words that the patterns of a finding spell out; what a gap of a pattern skips is not among them."""
    entry = load_lexicon().by_name().get(finding)
    patterns = () if entry is None else (*entry.patterns, *entry.normal)
    return frozenset(word for pattern in patterns for line in expand(pattern) for word in line)
