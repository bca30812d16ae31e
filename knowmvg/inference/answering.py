"""Three ways to name the phrases of a study: the model's own answer, the report parser, or both reconciled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from knowmvg.core.grounder import Grounder, Query, ReadingGrounder
from knowmvg.core.records import GroundedPhrase, Grounding, Study
from knowmvg.inference import reconcile
from knowmvg.inference.question import UNREAD_ANSWER, Question, ask, can_read, findings_learnt
from knowmvg.sources.report import ReportReading, read_report

PhraseSource: TypeAlias = Literal["model", "parser", "both"]
"""Who names the phrases."""


@dataclass(frozen=True, slots=True)
class Task:
    """A study ready to be grounded, what the parser read in its report, and what the result calls it."""

    study: Study
    reading: ReportReading
    name: str | None = None


def by_model(grounder: Grounder, tasks: Sequence[Task]) -> list[Grounding]:
    """The phrases that the model names, with the model's boxes; those of a parser inside it are the parser's."""
    source = "parser" if _has_parser(grounder) else "model"
    answers = grounder.ground([task.study for task in tasks])
    return [
        _with(
            answer,
            reconcile.in_report_order(reconcile.settled(p, source) for p in _reread(answer, task)),
            () if can_read(grounder, task.study.report) else (UNREAD_ANSWER,),
        )
        for task, answer in zip(tasks, answers, strict=True)
    ]


def by_parser(grounder: Grounder, tasks: Sequence[Task]) -> list[Grounding]:
    """The phrases that the parser reads, placed by the model where the report places them."""
    learnt = findings_learnt(grounder)
    pairings = [reconcile.pair([], task.reading.phrases, learnt) for task in tasks]
    questions = _questions(grounder, tasks, pairings)
    answers = _place(grounder, questions)
    joined = [
        reconcile.join([], task.reading.phrases, pairing, question.answers(answer), learnt)
        for task, pairing, question, answer in zip(tasks, pairings, questions, answers, strict=True)
    ]
    return [_with(answers[k], phrases, questions[k].warnings) for k, phrases in enumerate(joined)]


def by_both(grounder: Grounder, tasks: Sequence[Task]) -> list[Grounding]:
    """Both, reconciled; the model is asked again only for phrases that it did not name itself, or could not read.

    A model that knows the report's words is believed: see ``Pairing.trusting``. One that names no phrases itself leaves
    the parser alone.
    """
    if _has_parser(grounder):
        return by_parser(grounder, tasks)
    learnt = findings_learnt(grounder)
    answers = grounder.ground([task.study for task in tasks])
    named = [_reread(answer, task) for task, answer in zip(tasks, answers, strict=True)]
    pairings = [reconcile.pair(own, task.reading.phrases, learnt) for task, own in zip(tasks, named, strict=True)]
    for k, task in enumerate(tasks):
        if can_read(grounder, task.study.report):
            pairings[k] = pairings[k].trusting(named[k], task.reading.phrases, learnt)
        else:
            pairings[k] = pairings[k].doubting(named[k])
    questions = _questions(grounder, tasks, pairings)
    asked = [k for k, question in enumerate(questions) if question.queries]
    extra = _place(grounder, [questions[k] for k in asked]) if asked else []
    placed = {k: questions[k].answers(grounding) for k, grounding in zip(asked, extra, strict=True)}
    joined = [
        reconcile.join(named[k], task.reading.phrases, pairings[k], placed.get(k, ()), learnt)
        for k, task in enumerate(tasks)
    ]
    return [_with(answers[k], phrases, questions[k].warnings) for k, phrases in enumerate(joined)]


NAMED_BY: dict[PhraseSource, Callable[[Grounder, Sequence[Task]], list[Grounding]]] = {
    "model": by_model,
    "parser": by_parser,
    "both": by_both,
}


@dataclass(frozen=True, slots=True)
class NamedBy:
    """A grounder that answers studies as a session does, with its phrases named by ``source`` (core.grounder.Grounder).

    For the evaluation of what a user gets; phrases that are given are placed by the grounder alone.
    """

    grounder: Grounder
    source: PhraseSource

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        """Name and place the phrases of each study."""
        return NAMED_BY[self.source](self.grounder, [Task(study, read_report(study.report)) for study in studies])

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        """Place given phrases."""
        return self.grounder.ground_phrases(studies, queries)


def _has_parser(grounder: Grounder) -> bool:
    return isinstance(grounder, ReadingGrounder) and grounder.reader is not None


def _questions(grounder: Grounder, tasks: Sequence[Task], pairings: Sequence[reconcile.Pairing]) -> list[Question]:
    return [
        ask(grounder, task.study, [task.reading.phrases[k] for k in pairing.asked])
        for task, pairing in zip(tasks, pairings, strict=True)
    ]


def _place(grounder: Grounder, questions: Sequence[Question]) -> list[Grounding]:
    return grounder.ground_phrases([each.study for each in questions], [each.queries for each in questions])


def _with(answer: Grounding, phrases: tuple[GroundedPhrase, ...], warnings: tuple[str, ...] = ()) -> Grounding:
    return answer.model_copy(update={"phrases": phrases, "warnings": (*answer.warnings, *warnings)})


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
