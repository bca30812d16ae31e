"""Where a sentence names a finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from knowmvg.knowledge.lexicon import FindingEntry, load_lexicon
from knowmvg.knowledge.patterns import PatternTrie, Word


@dataclass(frozen=True, slots=True)
class Mention:
    """Words ``[first, last)`` of a sentence that name a finding, or, if ``normal``, say that it is absent.

    ``sided`` and ``device`` are the finding's own (``FindingEntry``).
    """

    finding: str
    first: int
    last: int
    normal: bool = False
    sided: bool = True
    device: bool = False


def find_mentions(words: Sequence[Word]) -> list[Mention]:
    """The mentions of a sentence in order, without overlap: the longer of two readings counts."""
    return [
        Mention(entry.name, match.first, match.last, normal, entry.sided, entry.device)
        for match in _trie().find_longest(words)
        for entry, normal in match.values[:1]
        if entry is not None
    ]


@cache
def _trie() -> PatternTrie[tuple[FindingEntry | None, bool]]:
    lexicon = load_lexicon()
    pairs: list[tuple[str, tuple[FindingEntry | None, bool]]] = [(pattern, (None, False)) for pattern in lexicon.ignore]
    for entry in lexicon.findings:
        pairs.extend((pattern, (entry, False)) for pattern in entry.patterns)
        pairs.extend((pattern, (entry, True)) for pattern in entry.normal)
    return PatternTrie(pairs)
