"""The same finding in other words of the grammar: what a phrase says of degree, texture and place stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from knowmvg.core.records import Side
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.report.grammar import Naming, Wording, grammar
from knowmvg.sources.phantom.report.naming import joined, place_words

Number: TypeAlias = Literal["count", "mass", "plural", "clause"]

_VERB = re.compile(r"\b(?:is|are|appears?)\b")
_LEVELS = ("low", "mid", "high")


def rewordings(text: str, name: str, side: Side | None, zone: str | None, article: bool, dice: Dice) -> Iterator[str]:
    """Other phrases for a finding, in random order, each of the same grammatical number as ``text``.

    Args:
        text: the phrase as it is; its words for degree, or their like, and for texture are kept.
        name: the finding, one of the simulator's; for another one there is no rewording.
        side: that the words tell, or ``None``.
        zone: that the words tell, or ``None``.
        article: whether 'a' or 'an' stands before the phrase.
        dice: choices.
    """
    naming = grammar().findings.get(name)
    if naming is None:
        return
    numbers, old = _numbers(text, naming, article), text.casefold()
    for wording in dice.shuffled([w for w in naming.wordings if _fits(w, numbers, side, zone)]):
        new = _said(wording, naming, name, old, (side, zone), "plural" in numbers, dice)
        if new is not None and new.casefold() != old:
            yield new


def _numbers(text: str, naming: Naming, article: bool) -> tuple[Number, ...]:
    """The grammatical numbers that may stand where ``text`` stands."""
    if article:
        return ("count",)
    if _VERB.search(text):
        return ("clause",)
    words = set(text.casefold().split())
    pairs = {pair for wording in naming.wordings for pair in wording.words if pair[1] and pair[1] != pair[0]}
    plurals = {plural for _, plural in pairs} | {w.words[-1][0] for w in naming.wordings if w.number == "plural"}
    if words & plurals:
        return ("plural",)
    return ("count", "mass") if words & {word for word, _ in pairs} else ("mass",)


def _fits(wording: Wording, numbers: tuple[Number, ...], side: Side | None, zone: str | None) -> bool:
    """Whether a wording names this finding alone, claims no degree, and has room for the place and no other."""
    if wording.names or wording.level is not None or ("{mm}", "") in wording.words:
        return False
    plural = "plural" in numbers and wording.number == "count" and wording.has_plural
    if not (plural or wording.number in numbers):
        return False
    if zone is not None:
        return wording.placed
    return (wording.placed or wording.sided) == (side is not None)


def _said(
    wording: Wording,
    naming: Naming,
    name: str,
    old: str,
    place: tuple[Side | None, str | None],
    plural: bool,
    dice: Dice,
) -> str | None:
    """The wording's words, or ``None`` where the grammar has none for the place."""
    side, zone = place
    tables = {"{sev}": naming.severities, "{adv}": grammar().adverbs}
    level = next((lv for lv in _LEVELS for table in tables.values() for word in table[lv] if _holds(old, word)), None)
    words = []
    for word, plural_word in wording.words:
        if plural_word:
            words.append(plural_word if plural else word)
        elif word in ("{pre}", "{post}"):
            choices = place_words(name, word[1:-1], side, zone)
            if (side or zone) and not choices:
                return None
            words += [dice.pick(choices)] if choices else []
        elif word == "{the}":
            words.append("both" if side is Side.BILATERAL else f"the {side.value}" if side else "the")
        elif word == "{tex}":
            words += [texture for texture in naming.textures if _holds(old, texture)]
        elif level is not None:
            words.append(dice.pick(tables[word][level]))
    return joined(words)


def _holds(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text) is not None
