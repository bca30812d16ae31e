"""What a sentence says of a finding that it names: present, absent, possible, resolved or prior.

Cues reach findings before or after them within a window of words, as in ConText (Harkema et al., J Biomed Inform
2009;42:839); ``but``, a new clause or a comma that continues no list ends their reach. The cues are data
(knowledge/data/report_language.yaml), the order in which they outweigh each other is ``_weigh``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import cache

from knowmvg.core.records import Assertion
from knowmvg.knowledge.language import CueKind, CueRule, Direction, load_language
from knowmvg.knowledge.patterns import Match, PatternTrie, Word, without_overlap
from knowmvg.sources.report.mentions import Mention
from knowmvg.sources.report.word_classes import affirming, ends, qualifies

MAX_REACH = 40
_VERBS = frozenset(
    ["is", "are", "was", "were", "has", "have", "seen", "identified", "noted", "present", "remains", "appears", "shows"]
)
_JOINS = frozenset(["and", "or", "nor", "/", ",", "&"])
_DISJUNCTIONS = frozenset(["or", "nor"])
_LIST_ENDS = (CueKind.ABSENT, CueKind.STOP)
_NEAR = 4  # a cue that reaches no more words stays between its commas: "opacity, atelectasis versus scarring"
_SINGULAR = frozenset(["is", "was", "has"])
_FINITE = frozenset(["is", "are", "was", "were", "has", "have"])
_ADDED = frozenset(["associated", "accompanying", "additional", "other"])
_RELATIVES = frozenset(["that", "which", "who"])

Cue = Match[CueRule]


class CueReader:
    """The cues of one sentence."""

    def __init__(self, words: Sequence[Word], mentions: Sequence[Mention]) -> None:
        self._words = words
        self._begun = [mention.first for mention in mentions]
        self._named = [mention.last for mention in mentions]
        self._named_at = frozenset(self._named)
        self._cues = without_overlap(_cues_that_count(words))
        self._starts = [cue.first for cue in self._cues]

    def assertion(self, mention: Mention) -> Assertion | None:
        """What the sentence says of the finding, or ``None`` if it says nothing of this image."""
        first = bisect_left(self._starts, mention.first - MAX_REACH)
        last = bisect_left(self._starts, mention.last + MAX_REACH)
        reaching: dict[CueKind, int] = {}
        for cue in reversed(self._cues[first:last]):
            for rule in cue.values:
                if rule.kind not in reaching and self._reaches(cue, rule, mention):
                    reaching[rule.kind] = cue.first
        if mention.normal:
            negated = CueKind.ABSENT in reaching and mention.first <= reaching[CueKind.ABSENT] < mention.last
            return None if negated or CueKind.HYPOTHETICAL in reaching else Assertion.ABSENT
        return _weigh(reaching)

    def _reaches(self, cue: Cue, rule: CueRule, mention: Mention) -> bool:
        if rule.reach == 0:
            return False
        if mention.first <= cue.first < mention.last:
            return rule.kind is CueKind.ABSENT and rule.direction is Direction.FORWARD
        if cue.first < mention.first:
            near = mention.first - cue.last <= rule.reach
            return near and rule.direction is not Direction.BACKWARD and self._open_after(cue, rule, mention)
        near = cue.first - mention.last <= rule.reach
        return near and rule.direction is not Direction.FORWARD and self._open_before(cue, rule, mention)

    def _open_after(self, cue: Cue, rule: CueRule, mention: Mention) -> bool:
        """Whether nothing between a cue and a later mention ends the cue's reach."""
        if self._stopped(cue.last, mention.first, rule.kind):
            return False
        verb = listed = finite = False
        for place in range(cue.last, mention.first):
            word = self._words[place]
            if word.is_mark and place == cue.last:
                return False
            if word.lemma == "with" and (verb or self._adds_after(cue, place)):
                return False
            if word.raw in _FINITE and finite:  # "no effusion is seen the bones are osteopenic"
                return False
            if word.lemma in _JOINS and (verb or (word.lemma == "," and self._starts_statement(place + 1))):
                return False
            if word.lemma == "," and listed and self._is_stated_again(place, mention):
                return False
            if rule.kind is CueKind.ABSENT and place in self._named_at and self._runs_on(cue, place):
                return False
            if word.lemma == "with" and rule.kind is CueKind.RESOLVED:
                return False
            verb = verb or word.raw in _VERBS
            finite = (finite or word.raw in _FINITE) and word.lemma not in _RELATIVES
            listed = listed or word.lemma in _DISJUNCTIONS
        return True

    def _adds_after(self, cue: Cue, place: int) -> bool:
        """Whether "with" adds something to what a cue denied or doubted: "no edema with small effusion"."""
        named = bisect_right(self._named, cue.last) < bisect_right(self._named, place)
        following = self._words[place + 1].lemma if place + 1 < len(self._words) else ""
        return named and self._starts_statement(place + 1 + (following in _ADDED))

    def _runs_on(self, cue: Cue, place: int) -> bool:
        """Whether a statement starts right after a mention, without a mark: "no pneumothorax small effusion"."""
        return cue.last < place and qualifies(self._words[place]) and self._starts_statement(place)

    def _is_stated_again(self, comma: int, mention: Mention) -> bool:
        """Whether a mention after a finished list is said to be still there: "no edema or mass, nodule is stable"."""
        if any(word.lemma in _DISJUNCTIONS for word in self._words[comma : comma + MAX_REACH]):
            return False
        near = self._cues[bisect_left(self._starts, mention.last) : bisect_right(self._starts, mention.last + _NEAR)]
        return any(rule.kind is CueKind.AGAIN for cue in near for rule in cue.values)

    def _starts_statement(self, place: int) -> bool:
        """Whether the words after a comma continue no list: they affirm, and no "or" follows before the next cue."""
        start = place + (self._words[place].lemma == "and") if place < len(self._words) else place
        if start >= len(self._words) or self._words[start].lemma not in affirming():
            return False
        end = min(start + MAX_REACH, len(self._words))
        for number in range(bisect_left(self._starts, start), bisect_left(self._starts, end)):
            if any(rule.fresh or rule.kind in _LIST_ENDS for rule in self._cues[number].values):
                end = self._starts[number]
                break
        return all(word.lemma not in _DISJUNCTIONS for word in self._words[start:end])

    def _open_before(self, cue: Cue, rule: CueRule, mention: Mention) -> bool:
        """Whether nothing between a mention and a later cue ends the cue's reach."""
        if self._stopped(mention.last, cue.first, None):
            return False
        between = {word.lemma for word in self._words[mention.last : cue.first]}
        doubted = rule.kind is CueKind.POSSIBLE
        if "," in between and (rule.reach <= _NEAR or (doubted and self._is_apart(mention, cue, between))):
            return False
        if mention.device and rule.kind in (CueKind.ABSENT, CueKind.POSSIBLE) and between & ends():
            return False  # "enteric tube, tip not seen"
        singular = self._words[cue.first].raw in _SINGULAR
        return not (singular and between & {"and", ","}) and not between & {"with", "without", "no"}

    def _is_apart(self, mention: Mention, cue: Cue, between: Set[str]) -> bool:
        """Whether a doubt is that of a later mention alone: "atelectasis, pneumonia not excluded"."""
        later = bisect_left(self._begun, mention.last) < bisect_left(self._begun, cue.first)
        return later and not between & {"and", "or", "nor", "/"}

    def _stopped(self, first: int, last: int, kind: CueKind | None) -> bool:
        for cue in self._cues[bisect_left(self._starts, first) : bisect_left(self._starts, last)]:
            for rule in cue.values:
                if rule.kind is CueKind.STOP or (rule.fresh and kind is CueKind.ABSENT):
                    return True
        return False


def _weigh(reaching: Mapping[CueKind, int]) -> Assertion | None:
    """The assertion of a finding from the kinds of cue that reach it and where they stand."""
    if CueKind.HYPOTHETICAL in reaching:
        return None
    if CueKind.RESOLVED in reaching:
        return Assertion.RESOLVED
    if CueKind.ABSENT in reaching:  # "previously seen nodule is not visualized", but "no prior fracture"
        gone = CueKind.PRIOR in reaching and reaching[CueKind.PRIOR] < reaching[CueKind.ABSENT]
        return Assertion.RESOLVED if gone else Assertion.ABSENT
    if CueKind.PRIOR in reaching and CueKind.AGAIN not in reaching:
        return Assertion.PRIOR
    return Assertion.POSSIBLE if CueKind.POSSIBLE in reaching else Assertion.PRESENT


def _cues_that_count(words: Sequence[Word]) -> Iterator[Cue]:
    """All cues, without the rules that must close a statement where they do not."""
    for cue in _trie().find(words):
        closes = cue.last == len(words) or words[cue.last].is_mark
        rules = tuple(rule for rule in cue.values if closes or not rule.closing)
        if rules:
            yield replace(cue, values=rules)


@cache
def _trie() -> PatternTrie[CueRule]:
    return PatternTrie((pattern, rule) for rule in load_language().cues for pattern in rule.patterns)
