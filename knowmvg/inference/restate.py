"""A phrase of a real report in plain words: side, zone and finding as a small language model has read them.

A model that learnt to read from simulated reports knows a few hundred words; its states are worth nothing on others.
What the parser understood of a phrase can be said in words of the same grammar ('left lower lobe consolidation').
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache

from knowmvg.core.records import Phrase, Side
from knowmvg.knowledge.relatives import nearest
from knowmvg.sources.phantom.report.grammar import Naming, Wording, grammar
from knowmvg.sources.phantom.scene import FINDINGS

_OPTIONAL = {"{sev}", "{tex}"}
_PLACE = "{pre}"


def restate(phrase: Phrase, learnt: Collection[str] = FINDINGS) -> Phrase | None:
    """The phrase as the report grammar says it, under its nearest finding of ``learnt``.

    A zone that the grammar does not know for the finding (the lower zone of a pleural effusion) is left out, and so are
    severity and texture. The result stands in no report: it has no span.

    Returns:
        ``None`` where the phrase has no such finding, or the grammar does not name it.
    """
    finding = nearest(phrase.finding, learnt) if phrase.finding else None
    naming = grammar().findings.get(finding) if finding else None
    if finding is None or naming is None:
        return None
    wording, place = _plainest(finding), _place(naming, phrase.side, phrase.zone)
    many = phrase.side is Side.BILATERAL
    words = (place if word == _PLACE else plural if many else word for word, plural in wording.words)
    text = " ".join(word for word in words if word and word not in _OPTIONAL)
    return Phrase(text=text, finding=finding, side=phrase.side, zone=phrase.zone)


def plain_report(phrases: Iterable[Phrase]) -> str:
    """A report that states the phrases, one a sentence, and nothing else."""
    return " ".join(["FINDINGS:", *(f"{phrase.text[0].upper()}{phrase.text[1:]}." for phrase in phrases)])


@cache
def _plainest(finding: str) -> Wording:
    """The wording of the grammar that is the finding's name, or the end of it, after its place if it takes one."""
    named = [wording for wording in grammar().findings[finding].wordings if finding.endswith(_noun(wording))]
    return max(named, key=lambda wording: ((_PLACE, "") in wording.words, len(_noun(wording))))


def _noun(wording: Wording) -> str:
    """What is always said; a slot that must be filled makes it no finding's name."""
    return " ".join(word for word, _ in wording.words if word not in {*_OPTIONAL, _PLACE})


def _place(naming: Naming, side: Side | None, zone: str | None) -> str:
    """The first words that the grammar sets before a finding for its side and zone; empty where it says nothing."""
    entry = naming.places.get(zone or "any", naming.places["any"])
    said = {None: "zone", Side.BILATERAL: "both"}.get(side, "sided")
    words = entry[said]["pre"][0] if said in entry else ""
    return words.replace("{side}", side or "")
