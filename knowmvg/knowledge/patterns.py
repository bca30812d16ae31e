"""Word patterns: what the lexicon and the reading rules are written in, and the one-pass matcher that finds them.

A pattern is a line of words, ``(a|b c|)`` gives alternatives (an empty one makes the group optional) and ``*`` stands
for up to six words inside one statement: ``(heart|cardiac silhouette) * enlarged``; words that open a new statement
(``GAP_BARRIERS``) end it. Words are compared in lower case and singular, hyphens separate words. All patterns go into
one trie that is walked once from every word, so the time is linear in the text whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Generic, NamedTuple, TypeVar

GAP = "*"
GAP_WORDS = 6
GAP_BARRIERS = frozenset(["although", "but", "clear", "however", "normal", "there", "unremarkable", "with", "without"])
MAX_ALTERNATIVES = 4096

_TOKEN = re.compile(r"\d+(?:\.\d+)?|[ctlsCTLS]\d{1,2}(?![\d.])|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|_+|[^\w\s]")
_JOINING_HYPHEN = re.compile(r"(?<=\w)[-\u2010\u2011](?=\w)")
_HYPHENS = ("-", "\u2010", "\u2011")
_GROUP = re.compile(r"\(([^()]*)\)")
_IRREGULAR = {
    "apices": "apex",
    "atelectases": "atelectasis",
    "bilat": "bilateral",
    "bullae": "bulla",
    "does": "does",
    "granulomata": "granuloma",
    "hila": "hilum",
    "hili": "hilum",
    "l": "left",
    "lt": "left",
    "lungs": "lung",
    "metastases": "metastasis",
    "pleurae": "pleura",
    "pneumothoraces": "pneumothorax",
    "hemithoraces": "hemithorax",
    "r": "right",
    "rt": "right",
    "sulci": "sulcus",
    "thoraces": "thorax",
    "vertebrae": "vertebra",
    "w": "with",
}
_BRITISH = re.compile(r"o(?=e(?:dem|soph))|a(?=em)")  # oedema, oesophagus, haemothorax

T = TypeVar("T")


class Word(NamedTuple):
    """A word or punctuation mark: ``raw`` in lower case, ``lemma`` its basic form, at ``[start, end)`` of the text."""

    raw: str
    lemma: str
    start: int
    end: int

    @property
    def is_mark(self) -> bool:
        """Whether this is punctuation."""
        return not self.raw[0].isalnum() and self.raw[0] != "_"


@lru_cache(maxsize=1 << 16)
def lemma(word: str) -> str:
    """The basic form of a lower-case English word, for comparing words and not for printing them.

    Singular, American spelling, and the sides written out: ``r``, ``rt`` and ``right`` are one word.
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    word = _BRITISH.sub("", word)
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


def split_words(text: str, start: int = 0, end: int | None = None) -> list[Word]:
    """The words and punctuation marks of ``text[start:end]``, with their places in ``text``."""
    stop = len(text) if end is None else end
    found: list[Word] = []
    for token in _TOKEN.finditer(text, start, stop):
        raw = token.group().lower()
        if raw in _HYPHENS and _JOINING_HYPHEN.match(text, token.start(), stop):
            continue
        found.extend(_contracted(raw, token.start(), token.end()))
    return found


def _contracted(raw: str, start: int, end: int) -> tuple[Word, ...]:
    """One word, or two for "isn't" and "can't"."""
    if len(raw) < 5 or raw[-3] != "n" or raw[-2] not in "'\u2019" or raw[-1] != "t" or end - start != len(raw):
        return (Word(raw, lemma(raw), start, end),)
    verb = "can" if raw.startswith("ca") else raw[:-3]
    return Word(verb, verb, start, end - 3), Word("not", "not", end - 3, end)


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """Patterns found at words ``[first, last)``, with the values of all that fit exactly there."""

    values: tuple[T, ...]
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(slots=True)
class _Node(Generic[T]):
    children: dict[str, _Node[T]] = field(default_factory=dict)
    after_gap: _Node[T] | None = None
    values: list[T] = field(default_factory=list)


class PatternTrie(Generic[T]):
    """A set of patterns, each with a value, that are searched together."""

    def __init__(self, patterns: Iterable[tuple[str, T]]) -> None:
        """Compiles ``(pattern, value)`` pairs. Raises ``ValueError`` for a pattern that is no pattern."""
        self._root: _Node[T] = _Node()
        for pattern, value in patterns:
            for line in expand(pattern):
                self._add(line, value)

    def _add(self, line: Sequence[str], value: T) -> None:
        node = self._root
        for word in line:
            if word == GAP:
                node.after_gap = node.after_gap or _Node()
                node = node.after_gap
            else:
                node = node.children.setdefault(word, _Node())
        if value not in node.values:
            node.values.append(value)

    def find(self, words: Sequence[Word]) -> list[Match[T]]:
        """All matches, overlapping ones included, by their first word and then the longest first."""
        found: list[Match[T]] = []
        for first, word in enumerate(words):
            if word.lemma in self._root.children:
                ends = dict(self._walk(words, first))
                found.extend(Match(ends[last], first, last) for last in sorted(ends, reverse=True))
        return found

    def find_longest(self, words: Sequence[Word]) -> list[Match[T]]:
        """Matches without overlap: where two share a word the longer one stays, or the earlier of equals."""
        return without_overlap(self.find(words))

    def _walk(self, words: Sequence[Word], first: int) -> Iterator[tuple[int, tuple[T, ...]]]:
        stack: list[tuple[_Node[T], int]] = [(self._root, first)]
        while stack:
            node, place = stack.pop()
            if node.values:
                yield place, tuple(node.values)
            if node.after_gap is not None:
                stack.extend((node.after_gap, place + skip) for skip in _gaps(words, place, words[first].lemma))
            if place < len(words) and (child := node.children.get(words[place].lemma)) is not None:
                stack.append((child, place + 1))


def without_overlap(matches: Iterable[Match[T]]) -> list[Match[T]]:
    """The longest of overlapping matches, in the order of the text."""
    kept: list[Match[T]] = []
    taken: set[int] = set()
    for match in sorted(matches, key=lambda m: (-len(m), m.first)):
        places = range(match.first, match.last)
        if taken.isdisjoint(places):
            taken.update(places)
            kept.append(match)
    return sorted(kept, key=lambda m: m.first)


def expand(pattern: str) -> list[tuple[str, ...]]:
    """All word lines of a pattern, normalised. Raises ``ValueError`` for unbalanced groups or a line without words."""
    parts = _GROUP.split(_JOINING_HYPHEN.sub(" ", pattern.lower()))
    if any(mark in part for part in parts for mark in "()") or any("|" in part for part in parts[::2]):
        raise ValueError(f"expected balanced groups without nesting, got {pattern!r}")
    choices = [part.split("|") if number % 2 else [part] for number, part in enumerate(parts)]
    lines = []
    for choice in product(*choices):
        line = tuple(word if word == GAP else lemma(word) for word in " ".join(choice).split())
        if not line or GAP in (line[0], line[-1]):
            raise ValueError(f"expected a word at both ends of each alternative, got {pattern!r}")
        lines.append(line)
        if len(lines) > MAX_ALTERNATIVES:
            raise ValueError(f"expected at most {MAX_ALTERNATIVES} alternatives, got more in {pattern!r}")
    return lines


def _gaps(words: Sequence[Word], place: int, opening: str) -> Iterator[int]:
    """How many words a gap at ``place`` may hold; one that starts the pattern again ends it."""
    for skip in range(GAP_WORDS + 1):
        yield skip
        if place + skip >= len(words):
            return
        word = words[place + skip]
        if word.is_mark or word.lemma in GAP_BARRIERS or word.lemma == opening:
            return
