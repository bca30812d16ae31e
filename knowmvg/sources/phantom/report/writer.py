"""From findings to a report: sections, headers, order and filling statements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from knowmvg.core.records import Section
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.report.grammar import Filler, grammar
from knowmvg.sources.phantom.report.naming import Mention
from knowmvg.sources.phantom.report.plan import Plan, make_plan
from knowmvg.sources.phantom.report.sentences import say_denials, say_findings, say_gone
from knowmvg.sources.phantom.report.written import Draft, Sentence, WrittenReport, word_count
from knowmvg.sources.phantom.scene import Finding

MAX_WORDS = 140
_LAYOUTS = ("both",) * 11 + ("impression",) * 3 + ("findings",) * 2 + ("bare",) * 5


def write_report(findings: Sequence[Finding], rng: np.random.Generator) -> WrittenReport:
    """Write a report about the findings on an image.

    Every finding with ``mentioned`` is named at least once, as present or possible; the others never are. What is
    denied, resolved or prior is not on the image, or not on the side that the words tell.

    Raises ``ValueError`` for two findings of one class that no words for side or zone could tell apart.
    """
    dice = Dice(rng)
    plan = make_plan(findings, dice)
    layout = dice.pick(_LAYOUTS)
    draft = Draft()
    if layout != "bare":
        _write_preamble(draft, plan, dice)
    if layout == "both":
        early, late = _divide(plan.mentions, dice)
        body = _body(plan, early, dice)
        _write_section(draft, Section.FINDINGS, body, dice)
        room = MAX_WORDS - sum(map(word_count, body)) - 25
        _write_section(draft, Section.IMPRESSION, _conclusion(plan, late, dice, room), dice)
    else:
        section = {"bare": Section.UNHEADED, "findings": Section.FINDINGS, "impression": Section.IMPRESSION}[layout]
        _write_section(draft, section, _body(plan, plan.mentions, dice), dice)
    return draft.report()


def _divide(mentions: Sequence[Mention], dice: Dice) -> tuple[list[Mention], list[Mention]]:
    """Which mentions go to the findings, and which to the impression; many go to both."""
    early, late = [], []
    for mention in mentions:
        where = dice.uniform()
        if where < 0.9:
            early.append(mention)
        if where > 0.4:
            late.append(mention)
    return early, late


def _body(plan: Plan, mentions: Sequence[Mention], dice: Dice) -> list[Sentence]:
    """The sentences of a main section in random order, filled up to a random length."""
    said = say_findings(plan, dice.shuffled(mentions), dice) + say_denials(plan, dice) + say_gone(plan, dice)
    room = dice.between(12, 62) - sum(map(word_count, said))
    for topic in dice.shuffled(list(grammar().topics)):
        if room <= 0:
            break
        filler = dice.pick(grammar().topics[topic])
        if plan.allows(filler):
            said.append([filler.text])
            room -= word_count([filler.text])
    return dice.shuffled(said) or [["The image is of good quality"]]


def _conclusion(plan: Plan, mentions: Sequence[Mention], dice: Dice, room: int) -> list[Sentence]:
    said: list[Sentence] = []
    for sentence in say_findings(plan, dice.shuffled(mentions), dice):
        said.append(sentence)
    if plan.denied and dice.chance(0.25):
        said += say_denials(plan, dice)[:1]
    filler = dice.pick(grammar().fillers["impression"])
    if plan.allows(filler) and (not said or dice.chance(0.5)) and room > 0:
        said.append([filler.text])
    return said or [["See above"]]


def _write_preamble(draft: Draft, plan: Plan, dice: Dice) -> None:
    """Indication, technique and comparison: what they name does not count as a finding."""
    parts = ((Section.TECHNIQUE, 0.15), (Section.INDICATION, 0.4), (Section.COMPARISON, 0.3))
    for section, chance in parts:
        filler: Filler = dice.pick(grammar().fillers[section.value])
        if dice.chance(chance) and plan.may_name(filler):
            draft.write(dice.pick(grammar().headers[section.value]))
            draft.sentence([filler.text], section)
            draft.write(dice.pick(("\n", " ", "\n\n")))


def _write_section(draft: Draft, section: Section, sentences: Sequence[Sentence], dice: Dice) -> None:
    if section is not Section.UNHEADED:
        if draft.length:
            draft.write(dice.pick((" ", "\n", "\n\n")))
        draft.write(dice.pick(grammar().headers[section.value]))
    numbered = section is Section.IMPRESSION and len(sentences) > 1 and dice.chance(0.35)
    gap = "\n" if numbered and dice.chance(0.5) else " "
    for number, sentence in enumerate(sentences, 1):
        if number > 1:
            draft.write(gap)
        if numbered:
            draft.write(f"{number}. ")
        draft.sentence(sentence, section)
