"""From mentions to sentences: frames filled with one or several noun phrases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from knowmvg.core.records import Assertion, Side
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.report.grammar import Frame, grammar
from knowmvg.sources.phantom.report.naming import Mention, name_absent, name_finding
from knowmvg.sources.phantom.report.plan import Plan
from knowmvg.sources.phantom.report.written import NounPhrase, Sentence

_VERBS = {
    "{be}": ("is", "are"),
    "{have}": ("has", "have"),
    "{s}": ("s", ""),
}
_GROUP_SIZES = (1, 1, 1, 1, 1, 2, 2, 3)
_LIST_SIZES = (1, 1, 2, 2, 3, 4)


def say_findings(plan: Plan, mentions: Sequence[Mention], dice: Dice) -> list[Sentence]:
    """Sentences that name every mention once, uncertain ones alone or at the end of another, in random order."""
    mentions = dice.shuffled(mentions)
    sure = [mention for mention in mentions if mention.assertion is Assertion.PRESENT]
    unsure = [mention for mention in mentions if mention.assertion is Assertion.POSSIBLE]
    sentences: list[Sentence] = []
    while sure:
        size = min(dice.pick(_GROUP_SIZES), len(sure))
        group, sure = sure[:size], sure[size:]
        tail = unsure.pop() if unsure and dice.chance(0.3) else None
        if tail or size > 1:
            group = [_told_apart(mention) for mention in group]
        sentence = _present(plan, group, dice)
        if tail:
            sentence = [*sentence, dice.pick(grammar().links["with_possible"]), _name(plan, _told_apart(tail), dice)]
        sentences.append(sentence)
    return sentences + [_possible(plan, mention, dice) for mention in unsure]


def say_all(plan: Plan, mentions: Sequence[Mention], dice: Dice) -> list[Sentence]:
    """Sentences about what is there, what is not, and what was there; at times two of these share one sentence."""
    findings = say_findings(plan, mentions, dice)
    denials = list(plan.denied)
    if findings and denials and dice.chance(0.2):
        place = dice.between(0, len(findings) - 1)
        link = dice.pick(grammar().links["with_absent"])
        findings[place] = [*findings[place], link, _name_denied(plan, denials.pop(), dice)]
    return findings + say_denials(plan, denials, dice) + say_gone(plan, dice)


def say_denials(plan: Plan, denied: Sequence[tuple[str, Side | None]], dice: Dice) -> list[Sentence]:
    """Sentences that deny, one finding or a list of them at a time."""
    left = [_name_denied(plan, denial, dice) for denial in denied]
    sentences: list[Sentence] = []
    while left:
        size = min(dice.pick(_LIST_SIZES), len(left))
        group, left = left[:size], left[size:]
        kind = "absent_one" if size == 1 and dice.chance(0.25) else "absent"
        sentences.append(fill(dice.pick(grammar().frames[kind]), group, "denials", dice))
    return sentences


def say_gone(plan: Plan, dice: Dice) -> list[Sentence]:
    """Sentences about what has resolved or what an earlier examination showed."""
    return [
        fill(dice.pick(grammar().frames[mention.assertion.value]), [_name(plan, mention, dice)], "joins", dice)
        for mention in plan.gone
    ]


def _name_denied(plan: Plan, denial: tuple[str, Side | None], dice: Dice) -> NounPhrase:
    return name_absent(*denial, dice, plan.avoid(denial[0]))


def _told_apart(mention: Mention) -> Mention:
    """Beside another finding each must tell its side: 'opacity and left effusion' could put both on the left."""
    return replace(mention, sided=mention.finding.side is not None)


def _name(plan: Plan, mention: Mention, dice: Dice) -> NounPhrase:
    return name_finding(mention, dice, plan.avoid(mention.finding.name))


def _present(plan: Plan, group: Sequence[Mention], dice: Dice) -> Sentence:
    frames = grammar().frames
    if len(group) == 1:
        phrase = name_finding(group[0], dice, plan.avoid(group[0].finding.name), "any")
        kind = "clause" if phrase.number == "clause" else "change" if dice.chance(0.25) else "plain"
        return fill(dice.pick(frames[f"present {kind}"]), [phrase], "joins", dice)
    phrases = [_name(plan, mention, dice) for mention in group]
    return fill(dice.pick(frames["present plain"]), phrases, "joins", dice)


def _possible(plan: Plan, mention: Mention, dice: Dice) -> Sentence:
    name, frames = mention.finding.name, grammar().frames
    avoid = plan.avoid(name)
    hedged = any(not wording.names & avoid for wording in grammar().findings[name].hedged)
    if hedged and dice.chance(0.35):
        return fill(dice.pick(frames["hedged"]), [name_finding(mention, dice, avoid, "hedged")], "joins", dice)
    return fill(dice.pick(frames["possible"]), [_name(plan, mention, dice)], "joins", dice)


def _article(phrase: NounPhrase) -> str:
    if phrase.number not in ("count", "hedged"):
        return ""
    return "an " if phrase.text[0].lower() in "aeiou" else "a "


def _listed(phrases: Sequence[NounPhrase], articles: bool, joins: str, dice: Dice) -> list[str | NounPhrase]:
    """'A', 'A and B', 'A, B and C', each with its article or none."""
    words = grammar().joins[joins]
    pieces: list[str | NounPhrase] = []
    for place, phrase in enumerate(phrases):
        if place:
            last = place == len(phrases) - 1
            pieces.append(dice.pick(words["two"] if len(phrases) == 2 else words["last"]) if last else ", ")
        if articles and (article := _article(phrase)):
            pieces.append(article)
        pieces.append(phrase)
    return pieces


def fill(frame: Frame, phrases: Sequence[NounPhrase], joins: str, dice: Dice) -> Sentence:
    """A frame with its phrases; a verb before them agrees with the first, one after them with all."""
    pieces: list[str | NounPhrase] = []
    many = phrases[0].number == "plural"
    for part in frame:
        if part in _VERBS:
            pieces.append(_VERBS[part][many])
        elif part in ("{np}", "{anp}"):
            pieces.extend(_listed(phrases, part == "{anp}", joins, dice))
            many = many or (len(phrases) > 1 and joins == "joins")
        else:
            pieces.append(part)
    return pieces
