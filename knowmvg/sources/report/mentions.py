"""Where a sentence names a finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from knowmvg.knowledge.lexicon import FindingEntry, load_lexicon
from knowmvg.knowledge.patterns import PatternTrie, Word


@dataclass(frozen=True, slots=True)
class Mention:
    """Words ``[first, last)`` of a sentence that name a finding, or, if ``normal``, say that it is absent."""

    finding: str
    first: int
    last: int
    normal: bool = False


def find_mentions(words: Sequence[Word]) -> list[Mention]:
    """The mentions of a sentence in order, without overlap: the longer of two readings counts."""
    matches = _trie().find_longest(words)
    named = [(match.values[0], match) for match in matches]
    return [Mention(name, match.first, match.last, normal) for (name, normal), match in named if name]


@cache
def _trie() -> PatternTrie[tuple[str, bool]]:
    lexicon = load_lexicon()
    pairs = [(pattern, ("", False)) for pattern in lexicon.ignore]
    for entry in lexicon.findings:
        pairs.extend(_values(entry))
    return PatternTrie(pairs)


def _values(entry: FindingEntry) -> list[tuple[str, tuple[str, bool]]]:
    named = [(pattern, (entry.name, False)) for pattern in entry.patterns]
    return named + [(pattern, (entry.name, True)) for pattern in entry.normal]
