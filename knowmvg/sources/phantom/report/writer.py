"""From findings to a report: sections, headers, order and filling statements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from knowmvg.core.records import Section
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.report.grammar import Filler, grammar
from knowmvg.sources.phantom.report.naming import Mention
from knowmvg.sources.phantom.report.plan import Plan, make_plan
from knowmvg.sources.phantom.report.sentences import say_all, say_denials, say_findings
from knowmvg.sources.phantom.report.written import Draft, Sentence, WrittenReport, word_count
from knowmvg.sources.phantom.scene import Finding

MAX_WORDS = 140
# Words that fillers bring a main section up to, and how often each layout occurs.
_SHORT, _LONG = 22, 92
_LAYOUTS = ("both",) * 11 + ("impression",) * 3 + ("findings",) * 2 + ("bare",) * 5
_MANY = 3
_WORDS_OF_A_FINDING = 16


def write_report(findings: Sequence[Finding], rng: np.random.Generator) -> WrittenReport:
    """Write a report about the findings on an image.

    Every finding with ``mentioned`` is named at least once, as present or possible; the others never are. What is
    denied, resolved or prior is not on the image, or not on the side that the words tell.

    Args:
        findings: what is on the image; lesions may be empty where there is no image.
        rng: gives one number, which seeds every choice.

    Raises:
        ValueError: two findings of one class that no words for side or zone could tell apart.
    """
    dice = Dice(rng)
    plan = make_plan(findings, dice)
    layout = dice.pick(_LAYOUTS)
    draft = Draft()
    if layout != "bare":
        _write_preamble(draft, plan, dice)
    if layout == "both":
        early, late = _divide(plan.mentions, dice)
        later = _WORDS_OF_A_FINDING * sum(mention not in early for mention in late)
        _write_section(draft, Section.FINDINGS, _body(plan, early, dice, later), dice)
        room = MAX_WORDS - len("".join(draft.parts).split()) - 2
        _write_section(draft, Section.IMPRESSION, _conclusion(plan, early, late, dice, room), dice)
    else:
        section = {"bare": Section.UNHEADED, "findings": Section.FINDINGS, "impression": Section.IMPRESSION}[layout]
        _write_section(draft, section, _body(plan, plan.mentions, dice), dice)
    return draft.report()


def _divide(mentions: Sequence[Mention], dice: Dice) -> tuple[list[Mention], list[Mention]]:
    """Which mentions go to the findings, and which to the impression; many go to both."""
    if len(mentions) > _MANY:
        return list(mentions), [mention for mention in mentions if dice.chance(0.5)]
    early, late = [], []
    for mention in mentions:
        where = dice.uniform()
        if where < 0.9:
            early.append(mention)
        if where > 0.4:
            late.append(mention)
    return early, late


def _body(plan: Plan, mentions: Sequence[Mention], dice: Dice, later: int = 0) -> list[Sentence]:
    """The sentences of a main section in random order, filled up to a random length; ``later`` words must still fit."""
    said = say_all(plan, mentions, dice)
    room = dice.between(_SHORT, _LONG) - later - sum(map(word_count, said))
    for topic in dice.shuffled(list(grammar().topics)):
        filler = dice.pick(grammar().topics[topic])
        if room > 0 and plan.allows(filler):
            said.append([filler.text])
            room -= word_count([filler.text])
    return dice.shuffled(said) or [["the image is of diagnostic quality"]]


def _conclusion(plan: Plan, early: Sequence[Mention], late: Sequence[Mention], dice: Dice, room: int) -> list[Sentence]:
    """The impression: what is said here only, then, while there is room for words, what is said again."""
    said = say_findings(plan, [mention for mention in late if mention not in early], dice)
    again = say_findings(plan, [mention for mention in late if mention in early], dice)
    if plan.denied and dice.chance(0.25):
        again += say_denials(plan, plan.denied[:2], dice)
    fillers = grammar().fillers["impression"]
    closing = dice.pick(fillers if plan.on_image else [filler for filler in fillers if filler.denies])
    if plan.allows(closing) and dice.chance(0.5 if said or again else 1.0):
        again.append([closing.text])
    room -= sum(map(word_count, said))
    for sentence in again:
        # One word more for the number that an impression may give each of its sentences.
        room -= word_count(sentence) + 1
        if room > 0:
            said.append(sentence)
    return said or [["see above"]]


def _write_preamble(draft: Draft, plan: Plan, dice: Dice) -> None:
    """Technique, indication and comparison: what they name does not count as a finding."""
    for section, chance in ((Section.TECHNIQUE, 0.15), (Section.INDICATION, 0.4), (Section.COMPARISON, 0.3)):
        filler: Filler = dice.pick(grammar().fillers[section.value])
        if dice.chance(chance) and plan.may_name(filler):
            _write_header(draft, section, dice)
            draft.sentence([filler.text], section)


def _write_header(draft: Draft, section: Section, dice: Dice) -> None:
    if draft.length:
        draft.write(dice.pick((" ", "\n", "\n", "\n\n")))
    draft.write(dice.pick(grammar().headers[section.value]))


def _write_section(draft: Draft, section: Section, sentences: Sequence[Sentence], dice: Dice) -> None:
    if section is not Section.UNHEADED:
        _write_header(draft, section, dice)
    numbered = section is Section.IMPRESSION and len(sentences) > 1 and dice.chance(0.35)
    gap = "\n" if numbered and dice.chance(0.5) else " "
    for number, sentence in enumerate(sentences, 1):
        if number > 1:
            draft.write(gap)
        if numbered:
            draft.write(f"{number}. ")
        draft.sentence(sentence, section)
