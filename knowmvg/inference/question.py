"""What a grounder is asked about a study: in the report's words, or in plain ones where it cannot read those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from knowmvg.core.grounder import Grounder, LimitedGrounder, Query
from knowmvg.core.records import GroundedPhrase, Grounding, Phrase, Study
from knowmvg.inference.restate import plain_report, restate

UNREAD_ANSWER = (
    "The report uses words that the model has not read: phrases and boxes of its own answer may be wrong. "
    "Naming the phrases by both, model and parser, is the remedy."
)
UNREAD = "The report uses words that the model has not read; its phrases were placed by finding, side and zone."


@dataclass(frozen=True, slots=True)
class Question:
    """Phrases to be placed on a study.

    ``answered_by`` holds, for each phrase that was to be asked, the index of its query: two mentions of one finding at
    one place are one question in plain words.
    """

    study: Study
    queries: tuple[Query, ...]
    answered_by: tuple[int, ...]
    warnings: tuple[str, ...] = ()

    def answers(self, grounding: Grounding) -> tuple[GroundedPhrase, ...]:
        """The answer to each phrase that was to be asked, in order."""
        return tuple(grounding.phrases[query] for query in self.answered_by)


def findings_learnt(grounder: Grounder) -> frozenset[str] | None:
    """The findings that a grounder has learnt to place; ``None`` for one that does not say so."""
    return grounder.findings if isinstance(grounder, LimitedGrounder) else None


def can_read(grounder: Grounder, report: str) -> bool:
    """Whether a grounder knows the report's words; one that does not say so is believed to."""
    return not isinstance(grounder, LimitedGrounder) or grounder.reads(report)


def ask(grounder: Grounder, study: Study, phrases: Sequence[Phrase]) -> Question:
    """The phrases as questions in the words and the context that the grounder reads best."""
    if not phrases or can_read(grounder, study.report):
        return Question(study, tuple(map(Query, phrases)), tuple(range(len(phrases))))
    learnt = findings_learnt(grounder) or frozenset()
    plain = [restate(phrase, learnt) or phrase for phrase in phrases]
    distinct = {phrase.text: phrase for phrase in plain}
    texts = list(distinct)
    return Question(
        replace(study, report=plain_report(distinct.values())),
        tuple(map(Query, distinct.values())),
        tuple(texts.index(phrase.text) for phrase in plain),
        (UNREAD, *_placed_as(phrases, plain)),
    )


def _placed_as(phrases: Sequence[Phrase], plain: Sequence[Phrase]) -> list[str]:
    """One line a finding that was placed under the name of another."""
    pairs = dict.fromkeys((one.finding, other.finding) for one, other in zip(phrases, plain, strict=True))
    return [
        f"The model has not learned to place the finding '{named}': it was placed as '{placed}', its nearest relative."
        for named, placed in pairs
        if named != placed
    ]
