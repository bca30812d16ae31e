"""How a model is asked and scored.

* ``teacher_forced``, as the papers of this lineage did: the reference phrases are given, each with its number of boxes;
  only the boxes are scored.
* ``phrase_given``, as a model is used beside a reader who has named the phrases: they are given without their numbers
  of boxes; a phrase that gets no box scores 0.
* ``generate``, as a model is used: it reads the report and names the phrases; a reference phrase that it does not name
  scores 0.

Placed phrases without a reference box (stated, but not marked on the image) count for naming and not for boxes. The
model never sees the labels: they are taken off the study before it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from knowmvg.core.errors import ManifestError, ModelError
from knowmvg.core.grounder import Grounder, Query
from knowmvg.core.records import GroundedPhrase, Grounding, LabelledPhrase, Phrase, Study
from knowmvg.evaluation import metrics
from knowmvg.evaluation.naming import Reader, false_boxes, match_phrases, named
from knowmvg.evaluation.samples import Protocol, Sample, StudyCount, as_box
from knowmvg.evaluation.studies import Progress, Studies, batches, count, patient_of
from knowmvg.evaluation.wording import is_seen, names_place

View: TypeAlias = Callable[[Study], Study]
"""The study as the model gets to see it. Its placed labels stand for the study's own, in order; it may have more."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one model made of the studies under one protocol: a sample a boxed phrase, a count a study."""

    protocol: Protocol
    samples: tuple[Sample, ...]
    counts: tuple[StudyCount, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """A reference phrase with boxes: its place in the study's labels, its place among the shown placed phrases.

    ``seen``: its words occur in the training split.
    """

    index: int
    place: int
    label: LabelledPhrase
    seen: bool | None


@dataclass(frozen=True, slots=True)
class _Case:
    """A study, what the model sees of it, all phrases of the shown report and the targets among the placed ones.

    Targets are in the order of the shown report, in which a language model expects to be asked.
    """

    study: Study
    shown: Study
    phrases: tuple[Phrase, ...]
    targets: tuple[_Target, ...]

    @property
    def placed(self) -> list[Phrase]:
        return [phrase for phrase in self.phrases if phrase.assertion.placed]


def as_is(study: Study) -> Study:
    """The view of a plain evaluation."""
    return study


def run(
    protocol: Protocol,
    grounder: Grounder,
    studies: Studies,
    *,
    view: View = as_is,
    oracle: bool = False,
    reader: Reader | None = None,
    batch_size: int = 16,
    progress: Progress | None = None,
    stage: str | None = None,
    known: Collection[str] | None = None,
    labelled: Collection[str] | None = None,
) -> Result:
    """Ask and score a model under one protocol.

    Args:
        protocol: how to ask.
        grounder: the model.
        studies: labelled studies; each is in memory only while its batch is asked.
        view: what the model sees instead of the study (for controls); scored against the study's own boxes.
        oracle: leave the labels on the study, for controls that are told the phrases. Never for a model.
        reader: tells finding and side of generated phrases that come without, for false boxes.
        batch_size: studies asked at once.
        progress: told the studies done after each batch.
        stage: name of this run for ``progress``; the protocol's by default.
        known: texts of the training split's phrases (``wording.phrase_texts``), for the samples' ``seen``.
        labelled: the findings that the data set has labels for (see ``naming.named``); all of them by default.

    Raises:
        ManifestError: two studies with the same identifier.
        ModelError: an answer that breaks the ``Grounder`` contract.
    """
    samples: list[Sample] = []
    counts: list[StudyCount] = []
    seen: set[str] = set()
    for batch in batches(studies, batch_size):
        _remember(seen, batch)
        cases = [_case(study, view(study), oracle, known) for study in batch]
        if protocol.gives_phrases:
            scored = _given(protocol, grounder, cases)
        else:
            scored = _generate(grounder, cases, reader, labelled)
        for found, counted in scored:
            samples += found
            counts.append(counted)
        if progress is not None:
            progress(stage or protocol.value, len(seen), count(studies))
    return Result(protocol, tuple(samples), tuple(counts))


def teacher_forced(grounder: Grounder, studies: Studies) -> Result:
    """``run`` with the reference phrases given, each with its number of boxes."""
    return run(Protocol.TEACHER_FORCED, grounder, studies)


def phrase_given(grounder: Grounder, studies: Studies) -> Result:
    """``run`` with the reference phrases given, their numbers of boxes left to the model."""
    return run(Protocol.PHRASE_GIVEN, grounder, studies)


def generate(grounder: Grounder, studies: Studies) -> Result:
    """``run`` with the phrases left to the model."""
    return run(Protocol.GENERATE, grounder, studies)


_Scored = list[tuple[list[Sample], StudyCount]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model gave for a phrase: the place among the study's labels, the question, the answer."""

    index: int
    query: Query
    phrase: GroundedPhrase


def answers_to(
    protocol: Protocol, grounder: Grounder, studies: Sequence[Study], view: View = as_is
) -> list[list[Answer]]:
    """The raw answers for the studies' boxed phrases, in reading order, one list a study.

    For evaluations that need more than a sample holds, such as the evidence. Raises ``ValueError`` for a protocol that
    does not give the phrases, and what ``run`` raises.
    """
    if not protocol.gives_phrases:
        raise ValueError(f"expected a protocol that gives the phrases, got {protocol}")
    return _asked(protocol, grounder, [_case(study, view(study), oracle=False) for study in studies])


def _asked(protocol: Protocol, grounder: Grounder, cases: Sequence[_Case]) -> list[list[Answer]]:
    counted = protocol is Protocol.TEACHER_FORCED
    queries = [
        [Query(case.placed[t.place], len(t.label.boxes) if counted else None) for t in case.targets] for case in cases
    ]
    answers = _checked(grounder.ground_phrases([case.shown for case in cases], queries), cases)
    found = []
    for case, asked, answer in zip(cases, queries, answers, strict=True):
        given = _in_order(answer.phrases, [query.phrase for query in asked])
        triples = zip(case.targets, asked, given, strict=True)
        found.append([Answer(target.index, query, phrase) for target, query, phrase in triples])
    return found


def _given(protocol: Protocol, grounder: Grounder, cases: Sequence[_Case]) -> _Scored:
    scored = []
    for case, answers in zip(cases, _asked(protocol, grounder, cases), strict=True):
        pairs = zip(case.targets, answers, strict=True)
        samples = [_sample(protocol, case.study, target, answer.phrase) for target, answer in pairs]
        scored.append((samples, _count(case, correct=len(answers), named=len(answers), false=0, absent=0)))
    return scored


def _generate(
    grounder: Grounder, cases: Sequence[_Case], reader: Reader | None, labelled: Collection[str] | None
) -> _Scored:
    answers = _checked(grounder.ground([case.shown for case in cases]), cases)
    pairs = zip(cases, answers, strict=True)
    return [_score_generated(case, named(answer.phrases, reader, labelled)) for case, answer in pairs]


def _score_generated(case: _Case, answered: Sequence[GroundedPhrase]) -> tuple[list[Sample], StudyCount]:
    partners = match_phrases(answered, case.placed)
    samples = []
    for target in case.targets:
        partner = partners[target.place]
        phrase = None if partner is None else answered[partner]
        samples.append(_sample(Protocol.GENERATE, case.study, target, phrase))
    false = false_boxes(answered, case.phrases)
    correct = sum(partner is not None for partner in partners)
    counted = _count(case, correct=correct, named=len(answered), false=sum(false), absent=len(false))
    words = metrics.token_names(answered, case.placed).correct
    findings = sum(count.correct for count in metrics.finding_names(answered, case.placed).values())
    return samples, counted.model_copy(update={"words": words, "findings": int(findings)})


def _case(study: Study, shown: Study, oracle: bool, known: Collection[str] | None = None) -> _Case:
    phrases = tuple(label.phrase for label in shown.labels)
    own = [(index, label) for index, label in enumerate(study.labels) if label.phrase.assertion.placed]
    if sum(phrase.assertion.placed for phrase in phrases) < len(own):
        raise ValueError(f"expected a view with {len(own)} placed phrases or more, got fewer for study {study.id}")
    targets = [
        _Target(index, place, label, is_seen(label.phrase, known))
        for place, (index, label) in enumerate(own)
        if len(label.boxes)
    ]
    placed = [phrase for phrase in phrases if phrase.assertion.placed]
    targets.sort(key=lambda target: _reading_order(placed[target.place]))
    return _Case(study, shown if oracle else replace(shown, labels=()), phrases, tuple(targets))


def _reading_order(phrase: Phrase) -> tuple[bool, tuple[int, int]]:
    """Phrases as they stand in the report, then those that do not."""
    return phrase.span is None, phrase.span or (0, 0)


def _sample(protocol: Protocol, study: Study, target: _Target, answer: GroundedPhrase | None) -> Sample:
    reference, phrase = target.label.boxes, target.label.phrase
    regions = answer.boxes if answer is not None else ()
    predicted = [region.xyxy for region in regions]
    iou = metrics.phrase_iou(predicted, reference)
    width, height = study.image.size
    return Sample(
        protocol=protocol,
        study=study.id,
        patient=patient_of(study),
        index=target.index,
        finding=phrase.finding,
        side=phrase.side,
        zone=phrase.zone,
        produced=answer is not None,
        reference=tuple(as_box(box) for box in reference),
        area=min(1.0, metrics.covered_area(reference) / (width * height)),
        predicted=tuple(predicted),
        scores=tuple(region.score for region in regions),
        matched=tuple(metrics.matched_iou(predicted, reference).tolist()),
        iou=iou,
        union_iou=metrics.union_iou(predicted, reference),
        hits={name: iou >= t for name, t in zip(metrics.THRESHOLD_NAMES, metrics.THRESHOLDS, strict=True)},
        gate=answer.evidence.gate if answer is not None and answer.evidence is not None else None,
        located=names_place(phrase),
        seen=target.seen,
    )


def _count(case: _Case, *, correct: int, named: int, false: int, absent: int) -> StudyCount:
    return StudyCount(
        study=case.study.id,
        patient=patient_of(case.study),
        named=named,
        expected=len(case.placed),
        correct=correct,
        absent=absent,
        false=false,
    )


def _remember(seen: set[str], batch: Sequence[Study]) -> None:
    for study in batch:
        if study.id in seen:
            raise ManifestError("a different identifier for each study", f"{study.id} twice", "Correct the data set.")
        seen.add(study.id)


def _checked(answers: Sequence[Grounding], cases: Sequence[_Case]) -> Sequence[Grounding]:
    """The answers, if they are one a study and their boxes are in the pixels of its image."""
    if len(answers) != len(cases):
        raise _broken(f"{len(cases)} groundings, one a study", f"{len(answers)}")
    for answer, case in zip(answers, cases, strict=True):
        if tuple(answer.image_size) != case.shown.image.size:
            raise _broken(f"boxes in an image of {case.shown.image.size} pixels", f"one of {answer.image_size}")
    return answers


def _in_order(given: Sequence[GroundedPhrase], asked: Sequence[Phrase]) -> list[GroundedPhrase]:
    """The answers in the order of the questions, found by their texts where the model answered in another order."""
    partners = match_phrases(given, asked)
    found = [given[partner] for partner in partners if partner is not None]
    if len(given) != len(asked) or len(found) != len(asked):
        raise _broken(f"one answer with its text for each of {len(asked)} phrases", f"{len(given)} answers")
    return found


def _broken(expected: str, got: str) -> ModelError:
    return ModelError(expected, got, "The grounder does not keep the contract of knowmvg.core.grounder.")
