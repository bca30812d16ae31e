"""Classes of words by which phrases are bounded and placed, from the rules of the language (report_language.yaml)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from knowmvg.knowledge.language import load_language
from knowmvg.knowledge.patterns import Word, lemma

JOINS = frozenset(["and", "or", "/"])
_PLACEHOLDER = re.compile(r"x{3,}|_+")


def is_placeholder(word: Word) -> bool:
    """Whether a word stands for one that was taken out of the report: "XXXX", "___"."""
    return _PLACEHOLDER.fullmatch(word.raw) is not None


def qualifies(word: Word) -> bool:
    """Whether a word can stand between a phrase's first word and its noun: a modifier, a place, a number."""
    return word.lemma in _qualifying() or word.raw[0].isdigit() or is_placeholder(word)


@cache
def _qualifying() -> frozenset[str]:
    return _lemmas(load_language().modifiers) | place_words()


@cache
def anatomy() -> frozenset[str]:
    """Words of parts of the body."""
    return frozenset(lemma(word) for phrase in load_language().anatomy for word in phrase.split())


@cache
def place_words() -> frozenset[str]:
    """Words of parts of the body, of sides and of zones."""
    groups = [*load_language().places.values(), *load_language().zones.values()]
    words = (word for group in groups for phrase in group for word in re.findall(r"\w{2,}", phrase))
    return (anatomy() | _lemmas(words)) - links() - JOINS


@cache
def links() -> frozenset[str]:
    """Words between a finding and its place."""
    return _lemmas(load_language().links)


@cache
def measures() -> frozenset[str]:
    """Nouns that only measure a finding: "areas of"."""
    return _lemmas(load_language().measures)


@cache
def carriers() -> frozenset[str]:
    """Words between two findings that lie in one place."""
    return JOINS | _lemmas(load_language().carriers) | _lemmas(load_language().modifiers)


@cache
def affirming() -> frozenset[str]:
    """Words with which a new statement starts."""
    return _lemmas(load_language().affirming)


@cache
def relating() -> frozenset[str]:
    """Words that turn a finding towards one named before it."""
    return _lemmas(load_language().relating)


@cache
def changing() -> frozenset[str]:
    """Words of change that may stand between two sides."""
    return _lemmas(load_language().changing)


@cache
def ends() -> frozenset[str]:
    """Words that open the place where a device ends."""
    return _lemmas(load_language().ends)


@cache
def positions() -> frozenset[str]:
    """Words of the place where a device ends."""
    return _lemmas(load_language().positions)


def _lemmas(words: Iterable[str]) -> frozenset[str]:
    return frozenset(map(lemma, words))
