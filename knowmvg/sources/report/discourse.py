"""Places that a phrase takes from earlier sentences: "Mass in the left apex. The surrounding consolidation is new."."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache

from knowmvg.core.records import Assertion, Section, Side
from knowmvg.knowledge.language import load_language
from knowmvg.knowledge.patterns import PatternTrie, Word
from knowmvg.sources.report.mentions import Mention
from knowmvg.sources.report.placing import Place, carry
from knowmvg.sources.report.sentences import Sentence
from knowmvg.sources.report.word_classes import relating

_POINTERS = frozenset(["the", "this", "these", "that", "those", "said"])
_FIRST_WORDS = 3
MAX_BEFORE = 20
_LOW_VOLUMES = "hypoinflation"

Where = tuple[Side, str | None]
Known = dict[str, dict[Section, set[Where]]]  # finding to the places that a section names


@dataclass(frozen=True, slots=True)
class Reading:
    """A mention with what its sentence says of it."""

    mention: Mention
    place: Place
    assertion: Assertion

    @property
    def placed(self) -> bool:
        """Whether this is a finding of this image that can lie on a side."""
        return self.assertion.placed and self.place.open


@dataclass(frozen=True, slots=True)
class SentenceReading:
    """A sentence with its words and what was read in it."""

    sentence: Sentence
    words: Sequence[Word]
    readings: tuple[Reading, ...]


def spread(sentences: Sequence[SentenceReading]) -> list[SentenceReading]:
    """The sentences with places filled in where the text names them elsewhere, in this order:

    the sentence before, where this one takes it up ("This may be pneumonia", "the effusion", "adjacent atelectasis"),
    else the same finding in another section, where all its phrases are on one side,
    else both sides for what only both can hold: "effusions", and basal atelectasis where the lung volumes are low.
    """
    if not any(_lacks_side(reading) for sentence in sentences for reading in sentence.readings):
        return list(sentences)
    known = _named_places(sentences)
    low = any(
        reading.mention.finding == _LOW_VOLUMES and reading.assertion.placed
        for sentence in sentences
        for reading in sentence.readings
    )
    done: list[SentenceReading] = []
    before: SentenceReading | None = None
    for sentence in sentences:
        if any(_lacks_side(reading) for reading in sentence.readings):
            sentence = _filled(sentence, before, known, low)
        before = sentence if sentence.readings else None
        done.append(sentence)
    return done


def _named_places(sentences: Iterable[SentenceReading]) -> Known:
    known: Known = {}
    for sentence in sentences:
        for reading in sentence.readings:
            if reading.placed and reading.place.side is not None:
                sections = known.setdefault(reading.mention.finding, {})
                sections.setdefault(sentence.sentence.section, set()).add((reading.place.side, reading.place.zone))
    return known


def _filled(sentence: SentenceReading, before: SentenceReading | None, known: Known, low: bool) -> SentenceReading:
    if before is not None and before.sentence.section is not sentence.sentence.section:
        before = None
    filled = []
    for reading in sentence.readings:
        if _lacks_side(reading):
            taken = _taken_up(sentence, reading, before) or _named_elsewhere(sentence, reading, known)
            if taken is None and known.keys().isdisjoint({reading.mention.finding}):
                taken = _on_both_sides(sentence.words, reading, low)
            if taken is not None:
                side, zone = taken
                reading = replace(reading, place=replace(reading.place, side=side, zone=reading.place.zone or zone))
        filled.append(reading)
    places = carry(sentence.words, [reading.place for reading in filled])
    readings = (replace(reading, place=place) for reading, place in zip(filled, places, strict=True))
    return replace(sentence, readings=tuple(readings))


def _lacks_side(reading: Reading) -> bool:
    return reading.placed and reading.place.side is None


def _taken_up(sentence: SentenceReading, reading: Reading, before: SentenceReading | None) -> Where | None:
    """The place of what the sentence before names, where this phrase refers to it."""
    if before is None:
        return None
    sided = [other for other in before.readings[-MAX_BEFORE:] if other.placed and other.place.side is not None]
    same = [other for other in sided if other.mention.finding == reading.mention.finding]
    first = reading.place.first
    if same and first > 0 and sentence.words[first - 1].lemma in _POINTERS:
        return _agreed(same)
    relates = any(word.lemma in relating() for word in sentence.words[max(first - 1, 0) : reading.mention.first])
    return _agreed(same or sided) if relates or _resumes(sentence.words) else None


def _named_elsewhere(sentence: SentenceReading, reading: Reading, known: Known) -> Where | None:
    """The place of the same finding in other sections, where they agree on it and on the zone, if this names one.

    A shadow of the lung that is nowhere placed by its own name takes the place that others have: an opacity in the
    findings is the pneumonia of the impression.
    """
    name = reading.mention.finding
    shadows = load_language().shadows
    names = (name,) if name in known or name not in shadows else shadows
    named = [(section, place) for one in names for section, group in known.get(one, {}).items() for place in group]
    if any(section is sentence.sentence.section for section, _ in named):
        return None
    places = {place for _, place in named}
    zones = {zone for _, zone in places}
    return _one_place(places) if reading.place.zone in {None, *zones} else None


def _on_both_sides(words: Sequence[Word], reading: Reading, low: bool) -> Where | None:
    """Both sides where nothing names one but the finding cannot be on one alone; ``low``: the lung volumes are low."""
    name, noun = reading.mention.finding, words[reading.mention.last - 1]
    plural = name in load_language().once_a_side and noun.raw.endswith("s") and noun.raw != noun.lemma
    dependent = low and reading.place.zone == "basal" and name in load_language().with_low_volumes
    return (Side.BILATERAL, None) if plural or dependent else None


def _agreed(readings: Iterable[Reading]) -> Where | None:
    return _one_place({(reading.place.side, reading.place.zone) for reading in readings if reading.place.side})


def _one_place(places: Set[Where]) -> Where | None:
    """The side that all places share, with the zone that they share, if any."""
    sides, zones = {side for side, _ in places}, {zone for _, zone in places}
    return (next(iter(sides)), next(iter(zones)) if len(zones) == 1 else None) if len(sides) == 1 else None


def _resumes(words: Sequence[Word]) -> bool:
    """Whether a sentence starts by taking up what was said, or says "in that distribution"."""
    return any(match.first < _FIRST_WORDS or len(match) > 2 for match in _resuming().find(words))


@cache
def _resuming() -> PatternTrie[bool]:
    return PatternTrie((phrase, True) for phrase in load_language().resuming)
