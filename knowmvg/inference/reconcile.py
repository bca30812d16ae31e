"""The model's own answer and the report parser's phrases made one list, each phrase with its source and its reason.

A small language model names only what it has learnt to read; a parser reads real wording but cannot see. ``reconcile``
keeps the parser's reading of the words (span, assertion, finding) and the model's reading of the image (boxes). On a
report whose words the model knows it keeps the model's wording too, and the model's silence about findings that it has
not learnt under their own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TypeAlias

from knowmvg.core.records import Assertion, Evidence, GroundedPhrase, Phrase, Section, normalised
from knowmvg.knowledge.relatives import nearest

NO_FINDING_SECTIONS = {
    Section.INDICATION: "The report names it in the indication, which asks a question and states no finding.",
    Section.COMPARISON: "The report names it in the comparison, which describes another examination.",
    Section.TECHNIQUE: "The report names it in the technique, which describes how the image was made.",
}
NOT_PLACED = {
    Assertion.ABSENT: "The report says that it is absent.",
    Assertion.RESOLVED: "The report says that it has resolved.",
    Assertion.PRIOR: "The report speaks of an earlier examination or of history, not of this image.",
}
NOT_LEARNT = "The model has not learned to place this finding."
NOT_NAMED = (
    "The model read the report and did not name this phrase, whose finding it has only learned under another name."
)
Learnt: TypeAlias = AbstractSet[str] | None
"""The findings that a model has learnt to place; ``None`` where it does not say so."""


def reason_without_box(phrase: Phrase, learnt: Learnt = None) -> str | None:
    """Why a phrase gets no box although it was read, in plain words; ``None`` for one that is to be placed.

    A finding that is not ``learnt`` itself is placed like its nearest relative (knowledge/relatives.py).
    """
    stated = NO_FINDING_SECTIONS.get(phrase.section) or NOT_PLACED.get(phrase.assertion)
    if stated is None and learnt is not None and phrase.finding and nearest(phrase.finding, learnt) is None:
        return NOT_LEARNT
    return stated


def unplaced(phrase: Phrase, source: str, learnt: Learnt = None) -> GroundedPhrase:
    """A phrase listed without box, with its reason."""
    reason = reason_without_box(phrase, learnt)
    return _grounded(phrase, evidence=Evidence(source=source), reason=reason)


def settled(answer: GroundedPhrase, source: str) -> GroundedPhrase:
    """A grounder's answer with its source named; one that the report does not place loses its boxes."""
    if reason_without_box(answer) is not None:
        return unplaced(answer, source)
    return answer.model_copy(update={"evidence": _sourced(answer.evidence, source)})


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which of the model's phrases each of the parser's phrases is the same finding as.

    ``partner`` maps the index of a placed parser phrase to the index of a model phrase with boxes; ``asked`` are the
    placed parser phrases that the model is to be asked for, those without partner; ``kept`` the model phrases that
    stand by themselves; ``silent`` the placed parser phrases that stay without box because a model that could read the
    report did not name them; ``trusted`` says that the model's own words are kept.
    """

    partner: dict[int, int]
    asked: tuple[int, ...]
    kept: tuple[int, ...]
    silent: tuple[int, ...] = ()
    trusted: bool = False

    def trusting(self, answer: Sequence[GroundedPhrase], parsed: Sequence[Phrase], learnt: Learnt) -> Pairing:
        """The same for a report that the model can read.

        Its words are kept where it named a phrase. It is not asked for what it left out if it has not learnt that
        finding itself (``silent``), and what it repeats beyond the report's mentions is dropped.
        """
        silent = tuple(k for k in self.asked if learnt is not None and parsed[k].finding not in learnt)
        asked = tuple(k for k in self.asked if k not in silent)
        said = {normalised(answer[k].text) for k in self.partner.values()}
        kept = tuple(k for k in self.kept if answer[k].span is not None or normalised(answer[k].text) not in said)
        return replace(self, asked=asked, kept=kept, silent=silent, trusted=True)

    def doubting(self, answer: Sequence[GroundedPhrase]) -> Pairing:
        """The same for a report that the model cannot read: it is asked for all, and keeps what stands verbatim there.

        A partner says no more than that both named the phrase.
        """
        asked = tuple(sorted({*self.asked, *self.partner}))
        return replace(self, asked=asked, kept=tuple(k for k in self.kept if answer[k].span is not None))


def pair(answer: Sequence[GroundedPhrase], parsed: Sequence[Phrase], learnt: Learnt = None) -> Pairing:
    """Match the parser's phrases to the model's by overlap of spans, or by finding, side and zone.

    Several mentions of one finding (in FINDINGS and again in IMPRESSION) may share a model phrase. A model phrase that
    no mention claims is kept unless the parser found the same thing absent, resolved, prior, outside the findings, or
    not to be ``learnt``.
    """
    partner: dict[int, int] = {}
    asked: list[int] = []
    refused: list[Phrase] = []
    for index, phrase in enumerate(parsed):
        if reason_without_box(phrase, learnt) is not None:
            refused.append(phrase)
            continue
        scores = [(likeness(phrase, candidate), -k) for k, candidate in enumerate(answer) if _seen(candidate)]
        best, negative = max(scores, default=(0, 0))
        if best > 0:
            partner[index] = -negative
        else:
            asked.append(index)
    claimed = set(partner.values())
    kept = tuple(
        k
        for k, candidate in enumerate(answer)
        if k not in claimed and not any(likeness(phrase, candidate) for phrase in refused)
    )
    return Pairing(partner, tuple(asked), kept)


def _seen(candidate: GroundedPhrase) -> bool:
    return bool(candidate.boxes) and reason_without_box(candidate) is None


def likeness(a: Phrase, b: Phrase) -> int:
    """How surely two phrases speak of one finding: 0 for different ones, more for shared words, side and zone.

    Phrases that contradict each other in finding, side or zone are different whatever words they share.
    """
    if not (_agree(a.finding, b.finding) and _agree(a.side, b.side) and _agree(a.zone, b.zone)):
        return 0
    overlap = a.span is not None and b.span is not None and a.span[0] < b.span[1] and b.span[0] < a.span[1]
    same_finding = a.finding is not None and a.finding == b.finding
    if not (overlap or same_finding):
        return 0
    return 8 * overlap + 4 * same_finding + 2 * (a.side == b.side) + (a.zone == b.zone)


def join(
    answer: Sequence[GroundedPhrase],
    parsed: Sequence[Phrase],
    pairing: Pairing,
    placed: Sequence[GroundedPhrase],
    learnt: Learnt = None,
) -> tuple[GroundedPhrase, ...]:
    """One list in report order; ``placed`` are the grounder's answers for ``pairing.asked``, in that order."""
    own = dict(zip(pairing.asked, placed, strict=True))
    said: set[int] = set()
    phrases = []
    for index, phrase in enumerate(parsed):
        source = "both" if index in pairing.partner else "parser"
        if index in own:
            phrases.append(with_words(own[index], phrase, source))
        elif index in pairing.partner:
            partner = pairing.partner[index]
            words = _model_words(answer[partner], phrase) if pairing.trusted and partner not in said else phrase
            said.add(partner)
            phrases.append(with_words(answer[partner], words, source))
        elif index in pairing.silent:
            phrases.append(_grounded(phrase, evidence=Evidence(source=source), reason=NOT_NAMED))
        else:
            phrases.append(unplaced(phrase, source, learnt))
    phrases.extend(settled(answer[k], "model") for k in pairing.kept)
    return in_report_order(phrases)


def with_words(answer: GroundedPhrase, phrase: Phrase, source: str) -> GroundedPhrase:
    """The boxes and evidence of an answer under the words of ``phrase``, which asked for it."""
    return _grounded(phrase, boxes=answer.boxes, evidence=_sourced(answer.evidence, source), reason=answer.reason)


def _model_words(answer: GroundedPhrase, phrase: Phrase) -> Phrase:
    """The parser's reading of a phrase in the model's wording, where that stands in the report."""
    if answer.span is None:
        return phrase
    return phrase.model_copy(update={"text": answer.text, "span": answer.span})


def in_report_order(phrases: Iterable[GroundedPhrase]) -> tuple[GroundedPhrase, ...]:
    """Phrases by their place in the report; those that are not verbatim in it come last."""
    return tuple(sorted(phrases, key=lambda p: (p.span is None, p.span or (0, 0))))


def _grounded(phrase: Phrase, **result: object) -> GroundedPhrase:
    words = {name: getattr(phrase, name) for name in Phrase.model_fields}
    return GroundedPhrase(**words, **result)


def _sourced(evidence: Evidence | None, source: str) -> Evidence:
    return (evidence or Evidence()).model_copy(update={"source": source})


def _agree(a: str | None, b: str | None) -> bool:
    return a is None or b is None or a == b
