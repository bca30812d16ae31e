"""Three ways to name the phrases of a study: the model's own answer, the report parser, or both reconciled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from knowmvg.core.grounder import Grounder, Query
from knowmvg.core.records import GroundedPhrase, Grounding, Study
from knowmvg.inference import reconcile
from knowmvg.sources.report import ReportReading, read_report

PhraseSource: TypeAlias = Literal["model", "parser", "both"]
"""Who names the phrases."""


@dataclass(frozen=True, slots=True)
class Task:
    """A study ready to be grounded, and what the parser read in its report."""

    study: Study
    reading: ReportReading


def by_model(grounder: Grounder, tasks: Sequence[Task]) -> list[Grounding]:
    """The phrases that the model names, with the model's boxes."""
    answers = grounder.ground([task.study for task in tasks])
    return [
        _with(answer, reconcile.in_report_order(reconcile.settled(p, "model") for p in _reread(answer, task)))
        for task, answer in zip(tasks, answers, strict=True)
    ]


def by_parser(grounder: Grounder, tasks: Sequence[Task]) -> list[Grounding]:
    """The phrases that the parser reads, placed by the model where the report places them."""
    pairings = [reconcile.pair([], task.reading.phrases) for task in tasks]
    answers = _place(grounder, tasks, pairings)
    return [
        _with(answer, reconcile.join([], task.reading.phrases, pairing, answer.phrases))
        for task, pairing, answer in zip(tasks, pairings, answers, strict=True)
    ]


def by_both(grounder: Grounder, tasks: Sequence[Task]) -> list[Grounding]:
    """Both, reconciled; the model is asked again only for phrases that it did not name itself."""
    answers = grounder.ground([task.study for task in tasks])
    named = [_reread(answer, task) for task, answer in zip(tasks, answers, strict=True)]
    pairings = [reconcile.pair(own, task.reading.phrases) for task, own in zip(tasks, named, strict=True)]
    asked = [k for k, pairing in enumerate(pairings) if pairing.alone]
    extra = _place(grounder, [tasks[k] for k in asked], [pairings[k] for k in asked]) if asked else []
    placed = {k: grounding.phrases for k, grounding in zip(asked, extra, strict=True)}
    return [
        _with(answers[k], reconcile.join(named[k], task.reading.phrases, pairings[k], placed.get(k, ())))
        for k, task in enumerate(tasks)
    ]


NAMED_BY: dict[PhraseSource, Callable[[Grounder, Sequence[Task]], list[Grounding]]] = {
    "model": by_model,
    "parser": by_parser,
    "both": by_both,
}


def _place(grounder: Grounder, tasks: Sequence[Task], pairings: Sequence[reconcile.Pairing]) -> list[Grounding]:
    queries = [
        [Query(task.reading.phrases[k]) for k in pairing.alone] for task, pairing in zip(tasks, pairings, strict=True)
    ]
    return grounder.ground_phrases([task.study for task in tasks], queries)


def _with(answer: Grounding, phrases: tuple[GroundedPhrase, ...]) -> Grounding:
    return answer.model_copy(update={"phrases": phrases})


def _reread(answer: Grounding, task: Task) -> list[GroundedPhrase]:
    """A model's phrases with the section that they stand in, and with finding, side and zone where it named none.

    A language model answers words; what they mean is read by the parser that reads the report.
    """
    phrases = []
    for phrase in answer.phrases:
        update: dict[str, object] = {}
        if phrase.span is not None:
            start = phrase.span[0]
            here = (span.section for span in task.reading.sections if span.start <= start < span.end)
            update["section"] = next(here, phrase.section)
        if phrase.finding is None and (meant := read_report(phrase.text).phrases):
            update["finding"] = meant[0].finding
            update["side"], update["zone"] = phrase.side or meant[0].side, phrase.zone or meant[0].zone
        phrases.append(phrase.model_copy(update=update))
    return phrases
