"""How far a diagnostic phrase extends round its noun."""

from __future__ import annotations

from collections.abc import Sequence

from knowmvg.knowledge.patterns import Word
from knowmvg.sources.report.mentions import Mention
from knowmvg.sources.report.word_classes import (
    JOINS,
    anatomy,
    changing,
    ends,
    is_placeholder,
    links,
    measures,
    place_words,
    positions,
    qualifies,
)

MAX_LOOSE_WORDS = 6
_LEFT_JOINS = JOINS | {"to"}
_NO_START = frozenset(["than", "either", "each", ">", "<", "~"])
_NO_END = frozenset(["with", "and", "its", "about", "approximately", "cm", "mm"])


def find_extents(words: Sequence[Word], mentions: Sequence[Mention]) -> list[tuple[int, int]]:
    """Words ``[first, last)`` of the phrase of each mention: its noun with modifiers and place, without overlap."""
    befores = [0, *(mention.last for mention in mentions[:-1])]
    firsts = [_extend_left(words, mention.first, limit) for mention, limit in zip(mentions, befores, strict=True)]
    limits = [*firsts[1:], len(words)]
    extents = []
    for mention, first, limit in zip(mentions, firsts, limits, strict=True):
        extend = _extend_to_position if mention.device else _extend_right
        extents.append((first, extend(words, mention.last, limit)))
    return extents


def _extend_left(words: Sequence[Word], first: int, limit: int) -> int:
    """Over modifiers and places before the noun, over "areas of" and over "and" where it joins no other finding's."""
    start = _run_start(words, first, limit)
    while start - 1 > limit:
        if words[start - 1].lemma == "of" and words[start - 2].lemma in measures():
            start = _run_start(words, start - 2, limit)
            continue
        if words[start - 1].lemma in changing() and words[start - 2].lemma in JOINS:  # "right and stable left"
            earlier = _run_start(words, start - 2, limit)
            if {word.lemma for word in words[earlier : start - 2]} & place_words() and words[
                start
            ].lemma in place_words():
                start = earlier
                continue
        earlier = _run_start(words, start - 1, limit)
        if not _joins(words, earlier, start) or _is_foreign(words, earlier, start - 1, limit):
            break
        start = earlier
    while start < first and (words[start].lemma in _NO_START or is_placeholder(words[start])):
        start += 1
    return start


def _joins(words: Sequence[Word], earlier: int, start: int) -> bool:
    """Whether the word before ``start`` joins two runs of modifiers: "right and left", "mid to lower"."""
    if earlier == start - 1 or words[start - 1].lemma not in _LEFT_JOINS:
        return False
    return words[start - 1].lemma != "to" or {words[start - 2].lemma, words[start].lemma} <= place_words()


def _is_foreign(words: Sequence[Word], first: int, last: int, limit: int) -> bool:
    """Whether words before an "and" place another finding: "fluid on the left and cardiomegaly"."""
    run = {word.lemma for word in words[first:last]}
    linked = 0 < limit < first and words[first - 1].lemma in links()
    adjoins = 0 < limit == first
    return (bool(run & place_words()) and (linked or adjoins)) or (limit > 0 and bool(run & anatomy()))


def _run_start(words: Sequence[Word], first: int, limit: int) -> int:
    while first > limit and qualifies(words[first - 1]):
        first -= 1
    return first


def _extend_right(words: Sequence[Word], last: int, limit: int) -> int:
    """Over "in the right lower lobe", also after "is seen"; ends with a word of place."""
    end = last
    for place in range(last, min(limit, len(words))):
        word = words[place]
        if place - end > MAX_LOOSE_WORDS:
            break
        if word.lemma in place_words():
            end = place + 1
        elif not (qualifies(word) or word.lemma in links() or (word.lemma in JOINS and end > last)):
            break
    return end


def _extend_to_position(words: Sequence[Word], last: int, limit: int) -> int:
    """Over "with its tip 4 cm above the carina"; ends with a noun of the body."""
    end = last
    for place in range(last, min(limit, len(words))):
        word = words[place]
        known = word.lemma in positions() or word.lemma in links() or qualifies(word)
        if not known or place - end > MAX_LOOSE_WORDS + 2:
            break
        loose = word.lemma in _NO_END or word.lemma in links() or word.lemma in ends() or word.raw[0].isdigit()
        if not loose and (word.lemma in positions() or word.lemma in place_words()):
            end = place + 1
    return end
