"""From a finding to the words that name it: severity, texture, place, singular or plural."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache

from knowmvg.core.records import Assertion, Side
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.report.grammar import Wording, grammar
from knowmvg.sources.phantom.report.written import NounPhrase
from knowmvg.sources.phantom.scene import Finding

# How often a word that the reader does not need is said all the same.
_SAY_SIDE, _SAY_ZONE, _SAY_ZONE_ALONE = 0.66, 0.55, 0.12
_SAY_SEVERITY, _SAY_TEXTURE = 0.42, 0.24


@dataclass(frozen=True, slots=True)
class Mention:
    """A finding that the report will name: ``sided`` and ``zoned`` say what its words must tell."""

    finding: Finding
    assertion: Assertion
    index: int | None
    sided: bool = False
    zoned: bool = False


def level(severity: float) -> str:
    """``low``, ``mid`` or ``high`` third of the severity scale."""
    return "low" if severity < 1 / 3 else "mid" if severity < 2 / 3 else "high"


@cache
def _choices(
    name: str, kinds: str, level: str, plural: bool, placed: bool, sided: bool, avoid: frozenset[str]
) -> tuple[Wording, ...]:
    """The wordings of a finding that fit; without the wish for a place if that leaves none."""
    naming = grammar().findings[name]
    pool = naming.hedged if kinds == "hedged" else naming.wordings
    fitting = tuple(
        wording
        for wording in pool
        if (kinds != "phrases" or wording.number != "clause")
        and wording.level in (None, level)
        and not wording.names & avoid
        and (not plural or wording.number != "count" or wording.has_plural)
    )
    return tuple(w for w in fitting if not placed or w.placed or (sided and w.sided)) or fitting


@cache
def place_words(name: str, slot: str, side: Side | None, zone: str | None) -> tuple[str, ...]:
    """The words for a place; ``side`` and ``zone`` are those to be said. Empty where there is nothing to say."""
    table = grammar().findings[name].places
    if zone not in table and zone is not None:
        zone = None
    entry = table[zone or "any"]
    if side is None:
        return tuple(entry["zone"][slot]) if zone else ()
    if side is Side.BILATERAL:
        return tuple(entry["both"][slot])
    general = [words.replace("{side}", side.value) for words in entry["sided"][slot]]
    return (*general, *entry.get(side.value, {}).get(slot, []))


def _stated(mention: Mention, dice: Dice) -> tuple[Side | None, str | None]:
    finding = mention.finding
    side = finding.side if mention.sided or dice.chance(_SAY_SIDE) else None
    zone_chance = _SAY_ZONE if side else _SAY_ZONE_ALONE
    zone = finding.zone if mention.zoned or dice.chance(zone_chance) else None
    return side, zone if zone in grammar().findings[finding.name].places else None


def _render(
    wording: Wording, mention: Mention, stated: tuple[Side | None, str | None], plural: bool, dice: Dice
) -> tuple[str, Side | None, str | None]:
    """The words, and what they tell of side and zone."""
    naming, tables = grammar().findings[mention.finding.name], grammar()
    grade = level(mention.finding.severity)
    side, zone = stated
    told: tuple[Side | None, str | None] = (None, None)
    graded = dice.chance(_SAY_SEVERITY)
    words = []
    for word, plural_word in wording.words:
        if plural_word:
            words.append(plural_word if plural else word)
        elif word in ("{pre}", "{post}"):
            choices = place_words(mention.finding.name, word[1:-1], side, zone)
            if choices:
                words.append(dice.pick(choices))
                told = (side, zone)
        elif word == "{the}":
            words.append("the" if side is None else "both" if side is Side.BILATERAL else f"the {side.value}")
            told = (side, None)
        elif word == "{tex}":
            if naming.textures and dice.chance(_SAY_TEXTURE):
                words.append(dice.pick(naming.textures))
        elif word == "{mm}":
            words.append(f"{_millimetres(mention.finding.severity)} mm")
        elif graded:
            words.append(dice.pick((tables.adverbs if word == "{adv}" else naming.severities)[grade]))
    return joined(words), *told


def _millimetres(severity: float) -> int:
    """The diameter that a reader would measure on a nodule: even numbers from 14 to 28."""
    return 14 + 2 * round(7 * severity)


def joined(words: Sequence[str]) -> str:
    """The words in a row, without the stutter of 'right mid lung lung nodule'."""
    text = words[0]
    for word in words[1:]:
        _, _, last = text.rpartition(" ")
        text = f"{text}{word[len(last) :]}" if word.split(" ")[0] == last else f"{text} {word}"
    return text


def name_finding(mention: Mention, dice: Dice, avoid: Collection[str] = (), kinds: str = "phrases") -> NounPhrase:
    """A noun phrase for a mention.

    Args:
        mention: what to name, and what its words must tell.
        dice: choices.
        avoid: other findings whose words must not occur in the phrase.
        kinds: ``phrases``, ``any`` (clauses such as 'heart is enlarged' too) or ``hedged``.
    """
    finding = mention.finding
    plural = finding.side is Side.BILATERAL or len(finding.lesions) > 1
    side, zone = stated = _stated(mention, dice)
    placed = side is not None or zone is not None
    wording = dice.pick(
        _choices(
            finding.name,
            kinds,
            level(finding.severity),
            plural,
            placed,
            side is not None and zone is None,
            frozenset(avoid),
        )
    )
    text, told_side, told_zone = _render(wording, mention, stated, plural, dice)
    counted = wording.number in ("count", "hedged") and wording.has_plural
    number = "plural" if plural and counted else wording.number
    return NounPhrase(text, number, finding.name, told_side, told_zone, mention.assertion, mention.index)


def name_absent(name: str, side: Side | None, dice: Dice, avoid: Collection[str] = ()) -> NounPhrase:
    """The short name of something that is not there: 'pneumothorax', 'left pleural effusion'."""
    blocked = frozenset(avoid)
    texts = [text for text, names in grammar().findings[name].absent if not names & blocked]
    text = dice.pick(texts)
    if side is not None and "{side}" not in text:
        text = f"{{side}} {text}"
    text = text.replace("{side} ", f"{side.value} " if side else "")
    number = "plural" if text.endswith("s") and not text.endswith(("sis", "ss")) else "mass"
    return NounPhrase(text, number, name, side, None, Assertion.ABSENT)


def on_one_side(mention: Mention, side: Side) -> Mention:
    """The part of a bilateral finding that lies on one side."""
    lesions = tuple(lesion for lesion in mention.finding.lesions if lesion.side is side)
    return replace(mention, finding=replace(mention.finding, side=side, lesions=lesions), sided=True)
