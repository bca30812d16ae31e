"""The words of a sentence, with misspelt ones put right for reading; spans stay those of the text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from knowmvg.knowledge.language import CueKind, Direction, load_language
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.knowledge.patterns import Word, expand, split_words
from knowmvg.knowledge.spelling import MIN_LETTERS, Speller


def read_words(text: str, start: int = 0, end: int | None = None) -> list[Word]:
    """The words and marks of ``text[start:end]``; the ``lemma`` of a long unknown word is the known one it is near."""
    words = split_words(text, start, end)
    correct = _speller().correct
    for number, word in enumerate(words):
        if len(word.lemma) >= MIN_LETTERS - 1 and (right := correct(word.lemma)) != word.lemma:
            words[number] = word._replace(lemma=right)
    return words


@cache
def _speller() -> Speller:
    language = load_language()
    told = (*language.familiar, *language.affirming, *language.modifiers, *language.links, *language.carriers)
    cued = (pattern for rule in language.cues for pattern in rule.patterns)
    return Speller(_targets(), {word for pattern in (*told, *cued) for word in _words(pattern)})


def _targets() -> Iterator[str]:
    """The words that decide what is read: those of findings, of places and of negations before a finding."""
    lexicon, language = load_lexicon(), load_language()
    patterns = [*lexicon.ignore, *language.anatomy]
    patterns += [pattern for entry in lexicon.findings for pattern in (*entry.patterns, *entry.normal)]
    patterns += [phrase for group in (*language.places.values(), *language.zones.values()) for phrase in group]
    for pattern in patterns:
        yield from _words(pattern)
    for rule in language.cues:
        if rule.kind is CueKind.ABSENT and rule.direction is Direction.FORWARD:
            yield from (line[0] for pattern in rule.patterns for line in expand(pattern))


def _words(pattern: str) -> Iterator[str]:
    for line in expand(pattern):
        yield from line
