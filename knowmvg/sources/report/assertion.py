"""What a sentence says of a finding that it names: present, absent, possible, resolved or prior.

Cues reach findings before or after them within a window of words, as in ConText (Harkema et al., J Biomed Inform
2009;42:839); ``but``, a new clause or an unlisted comma ends their reach. The cues are data
(knowledge/data/report_language.yaml), the order in which they outweigh each other is ``_weigh``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

from knowmvg.core.records import Assertion
from knowmvg.knowledge.language import CueKind, CueRule, Direction, load_language
from knowmvg.knowledge.patterns import Match, PatternTrie, Word
from knowmvg.sources.report.mentions import Mention

MAX_REACH = 40
_VERBS = frozenset("is are was were has have seen identified noted present remain appear show demonstrate".split())
_JOINS = frozenset(["and", "or", "nor", "/", ",", "&"])
_SINGULAR = frozenset(["is", "was", "has"])

Cue = Match[tuple[CueRule, ...]]


class CueReader:
    """The cues of one sentence."""

    def __init__(self, words: Sequence[Word]) -> None:
        self._words = words
        self._cues = _trie().find_longest(words)
        self._starts = [cue.first for cue in self._cues]

    def assertion(self, mention: Mention) -> Assertion | None:
        """What the sentence says of the finding, or ``None`` if it does not speak of this patient's image."""
        if mention.normal:
            return Assertion.ABSENT
        first = bisect_left(self._starts, mention.first - MAX_REACH)
        last = bisect_left(self._starts, mention.last + MAX_REACH)
        kinds = {rule.kind for cue in self._cues[first:last] for rule in cue.value if self._reaches(cue, rule, mention)}
        return _weigh(kinds)

    def _reaches(self, cue: Cue, rule: CueRule, mention: Mention) -> bool:
        if rule.reach == 0:
            return False
        if mention.first <= cue.first < mention.last:
            return rule.kind is CueKind.ABSENT
        if cue.first < mention.first:
            near = mention.first - cue.last <= rule.reach
            return near and rule.direction is not Direction.BACKWARD and self._open_after(cue, rule, mention)
        near = cue.first - mention.last <= rule.reach
        return near and rule.direction is not Direction.FORWARD and self._open_before(cue, mention)

    def _open_after(self, cue: Cue, rule: CueRule, mention: Mention) -> bool:
        """Whether nothing between a cue and a later mention ends the cue's reach."""
        if self._stopped(cue.last, mention.first, rule.kind):
            return False
        verb = False
        for place in range(cue.last, mention.first):
            word = self._words[place]
            if verb and (word.lemma in _JOINS):
                return False
            verb = verb or word.raw in _VERBS
        return True

    def _open_before(self, cue: Cue, mention: Mention) -> bool:
        """Whether nothing between a mention and a later cue ends the cue's reach."""
        if self._stopped(mention.last, cue.first, None):
            return False
        between = [word.lemma for word in self._words[mention.last : cue.first]]
        singular = self._words[cue.first].raw in _SINGULAR
        return not (singular and ("and" in between or "," in between)) and not set(between) & {"with", "without", "no"}

    def _stopped(self, first: int, last: int, kind: CueKind | None) -> bool:
        for cue in self._cues[bisect_left(self._starts, first) : bisect_left(self._starts, last)]:
            for rule in cue.value:
                if rule.kind is CueKind.STOP or (rule.fresh and kind is CueKind.ABSENT):
                    return True
        return False


def _weigh(kinds: set[CueKind]) -> Assertion | None:
    if CueKind.HYPOTHETICAL in kinds:
        return None
    if CueKind.RESOLVED in kinds:
        return Assertion.RESOLVED
    if CueKind.ABSENT in kinds:
        return Assertion.RESOLVED if CueKind.PRIOR in kinds else Assertion.ABSENT
    if CueKind.PRIOR in kinds and CueKind.AGAIN not in kinds:
        return Assertion.PRIOR
    return Assertion.POSSIBLE if CueKind.POSSIBLE in kinds else Assertion.PRESENT


@cache
def _trie() -> PatternTrie[tuple[CueRule, ...]]:
    return PatternTrie((pattern, (rule,)) for rule in load_language().cues for pattern in rule.patterns)
