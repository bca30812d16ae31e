"""Which words of a phrase are looked for in the image, and which tokens they are.

``report``: the words that name findings, parts of the body, sides and zones in the report language. ``lexical``:
adjectives, nouns and verbs, as the reference keeps them; its tagger is scispaCy's, which is no package of the index, so
that here every word counts that is not a function word of English. ``disease``: the words of the finding's own names,
or every word where none is among them, as Dombrowski et al. (AAAI 2024) filter. ``all``: every token of the phrase.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from knowmvg.core.records import Phrase
from knowmvg.grounders.diffusion.settings import Words
from knowmvg.knowledge.language import load_language
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.knowledge.patterns import PatternTrie, Word, lemma, split_words

Span = tuple[int, int]

_FUNCTION = """
a about above after again all also although am an and any are as at be because been before being below
between both but by can could did do does doing down during each either else for from further had has have
having he her here hers him his how however i if in into is it its itself just may me might more most must
my neither no nor not now of off on once only or other our ours out over own per she should since so some
such than that the their theirs them then there these they this those though through thus to too toward
towards under until up upon us via was we were what when where whether which while who whom whose why will
with within without would yet you your
"""
_FUNCTION_WORDS = frozenset(_FUNCTION.split())


def content_words(phrase: Phrase, words: Words) -> list[Span]:
    """The characters ``[start, end)`` of the words of ``phrase.text`` that count; none where no word does."""
    said = split_words(phrase.text)
    return [(word.start, word.end) for word in _CHOICES[words](phrase, said)]


def token_weights(offsets: Tensor, spans: Sequence[Span], *, first_piece: bool = False) -> Tensor:
    """The tokens ``[T]`` of words: their share of a mean, 0 for the rest; all 0 where no token lies in a word.

    Args:
        offsets: characters ``[T, 2]`` of each token; special tokens and padding have none.
        spans: of the words, in order.
        first_piece: only the first piece of each word.
    """
    starts, ends = offsets[:, 0], offsets[:, 1]
    kept = torch.zeros(len(offsets), dtype=torch.bool)
    for start, end in spans:
        inside = (starts < end) & (ends > start) & (ends > starts)
        if first_piece:
            inside &= inside.cumsum(0) == 1
        kept |= inside
    return kept.float() / max(1, int(kept.sum()))


def _reported(phrase: Phrase, said: list[Word]) -> list[Word]:
    named = {k for match in _names().find(said) for k in range(match.first, match.last)}
    placed = _places()
    return [word for k, word in enumerate(said) if word.lemma in placed or (k in named and _spoken(word))]


def _lexical(phrase: Phrase, said: list[Word]) -> list[Word]:
    return [word for word in said if _spoken(word) and not word.raw[0].isdigit()]


def _of_disease(phrase: Phrase, said: list[Word]) -> list[Word]:
    own = _words_of(phrase.finding) if phrase.finding in load_lexicon().by_name() else frozenset()
    return [word for word in said if word.lemma in own and _spoken(word)] or _every(phrase, said)


def _every(phrase: Phrase, said: list[Word]) -> list[Word]:
    return [word for word in said if not word.is_mark]


_CHOICES: dict[Words, Callable[[Phrase, list[Word]], list[Word]]] = {
    "report": _reported,
    "lexical": _lexical,
    "disease": _of_disease,
    "all": _every,
}


def _spoken(word: Word) -> bool:
    """Whether this is a word with a content of its own."""
    return not word.is_mark and word.raw not in _FUNCTION_WORDS


@cache
def _names() -> PatternTrie[str]:
    return PatternTrie((pattern, entry.name) for entry in load_lexicon().findings for pattern in entry.patterns)


@cache
def _words_of(finding: str | None) -> frozenset[str]:
    entry = load_lexicon()[finding or ""]
    named = frozenset(word.lemma for word in split_words(entry.name))
    return named | {word.lemma for pattern in entry.patterns for word in split_words(pattern)} - _places()


@cache
def _places() -> frozenset[str]:
    language = load_language()
    groups = [language.anatomy, *language.places.values(), *language.zones.values()]
    phrases = [split_words(phrase) for group in groups for phrase in group]
    return frozenset(
        lemma(word.raw) for said in phrases for word in said if not word.is_mark and (len(said) == 1 or _spoken(word))
    )
