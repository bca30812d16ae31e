"""Is the evidence what the box hangs on? The same phrase is asked again without it, and without as much else.

* Knowledge: the cited nodes are taken from the graph; for comparison as many nodes that were not cited.
* Image: the answered region is painted over; for comparison a region of the same size elsewhere.

The other phrases of the study are asked along with it, so that nothing but the evidence is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from knowmvg.core.boxes import as_boxes
from knowmvg.core.grounder import Grounder, KnowledgeGrounder
from knowmvg.core.records import GroundedPhrase, Study
from knowmvg.evaluation.metrics import phrase_iou
from knowmvg.evaluation.protocol import Answer, answers_to
from knowmvg.evaluation.robustness.changed_studies import generator
from knowmvg.evaluation.robustness.masking import elsewhere, painted
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.studies import Progress, Studies, batches, count, patient_of

CITED, UNCITED = "cited knowledge removed", "as many other nodes removed"
REPLACED, NONE = "random nodes instead of the cited", "no knowledge at all"
REGION, OTHER = "answered region painted over", "a region elsewhere painted over"
COMPARISON = {CITED: UNCITED, REPLACED: UNCITED, NONE: UNCITED, REGION: OTHER}

Key: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Again:
    """One phrase before and after: agreement of the boxes, mean scores, IoU with the reference, each in ``[0, 1]``.

    An answer that lost its boxes agrees by 0 and scores 0.
    """

    patient: str
    same_place: float
    score: float
    score_before: float
    iou: float
    iou_before: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """The phrases of each row by study and label, and how many could not be asked again for a reason in words."""

    rows: dict[str, dict[Key, Again]]
    n_asked: int
    n_without_box: int
    n_uncited: int
    n_unmaskable: int


@dataclass(frozen=True, slots=True)
class _Question:
    """A phrase to ask again: its study, its first answer, and what its other numbers are compared with."""

    study: Study
    answer: Answer

    @property
    def key(self) -> Key:
        return self.study.id, self.answer.index

    @property
    def cited(self) -> frozenset[str]:
        evidence = self.answer.phrase.evidence
        return frozenset(node.text for node in evidence.knowledge) if evidence is not None else frozenset()


class EvidenceTest:
    """Asks phrases again without their evidence, a batch of studies at a time.

    Args:
        grounder: the model; the knowledge rows need a ``KnowledgeGrounder``.
        protocol: one that gives the phrases.
        seed: of the comparison nodes and regions.
    """

    def __init__(self, grounder: Grounder, protocol: Protocol, seed: int = 0) -> None:
        self.grounder, self.protocol, self.seed = grounder, protocol, seed
        self.rows: defaultdict[str, dict[Key, Again]] = defaultdict(dict)
        self._asked = self._bare = self._uncited = self._unmaskable = 0

    def run(self, studies: Studies, *, batch_size: int = 16, progress: Progress | None = None) -> Evidence:
        """Ask all phrases; raises what ``protocol.run`` raises for broken answers."""
        done = 0
        for batch in batches(studies, batch_size):
            questions = list(self._first(batch))
            self._without_knowledge(questions)
            self._without_region(questions, batch_size)
            done += len(batch)
            if progress is not None:
                progress("evidence", done, count(studies))
        return Evidence(dict(self.rows), self._asked, self._bare, self._uncited, self._unmaskable)

    def _first(self, batch: Sequence[Study]) -> Iterator[_Question]:
        for study, answers in zip(batch, answers_to(self.protocol, self.grounder, batch), strict=True):
            for answer in answers:
                self._asked += 1
                if answer.phrase.boxes:
                    yield _Question(study, answer)
                else:
                    self._bare += 1

    def _without_knowledge(self, questions: Sequence[_Question]) -> None:
        if not isinstance(self.grounder, KnowledgeGrounder) or not self.grounder.knowledge:
            return
        groups: defaultdict[frozenset[str], list[_Question]] = defaultdict(list)
        for question in questions:
            groups[question.cited].append(question)
        self._uncited += len(groups.pop(frozenset(), []))
        every = sorted(set(self.grounder.knowledge))
        for cited, group in groups.items():
            others = [text for text in every if text not in cited]
            if len(others) < len(cited):
                self._uncited += len(group)
                continue
            rng = generator(self.seed, "knowledge", *sorted(cited))
            drawn = {others[k] for k in rng.choice(len(others), size=len(cited), replace=False)}
            hidden = {CITED: cited, UNCITED: drawn, REPLACED: set(every) - drawn, NONE: every}
            for name, texts in hidden.items():
                self._again(name, self.grounder.without_knowledge(texts), group, [q.study for q in group])

    def _without_region(self, questions: Sequence[_Question], batch_size: int) -> None:
        shown: list[tuple[_Question, Study, Study]] = []
        for question in questions:
            boxes = _boxes(question.answer.phrase)
            rng = generator(self.seed, question.study.id, str(question.answer.index), "region")
            other = elsewhere(boxes, question.study.image.size, rng)
            if other is None:
                self._unmaskable += 1
                continue
            place = question.answer.index
            own, moved = (painted(question.study, b, f"{n} {place}") for n, b in (("region", boxes), ("other", other)))
            shown.append((question, own, moved))
        for start in range(0, len(shown), batch_size):
            group = shown[start : start + batch_size]
            asked = [question for question, _, _ in group]
            self._again(REGION, self.grounder, asked, [own for _, own, _ in group])
            self._again(OTHER, self.grounder, asked, [moved for _, _, moved in group])

    def _again(self, row: str, grounder: Grounder, questions: Sequence[_Question], studies: Sequence[Study]) -> None:
        """Ask each question of its own study as it is now, among the other phrases of that study."""
        for question, answers in zip(questions, answers_to(self.protocol, grounder, studies), strict=True):
            answer = next(answer for answer in answers if answer.index == question.answer.index)
            self.rows[row][question.key] = _again(question, answer)


def _again(question: _Question, answer: Answer) -> Again:
    before, after = question.answer.phrase, answer.phrase
    reference = question.study.labels[answer.index].boxes
    return Again(
        patient=patient_of(question.study),
        same_place=phrase_iou(_boxes(after), _boxes(before)),
        score=_score(after),
        score_before=_score(before),
        iou=phrase_iou(_boxes(after), reference),
        iou_before=phrase_iou(_boxes(before), reference),
    )


def _boxes(phrase: GroundedPhrase) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return as_boxes([region.xyxy for region in phrase.boxes])


def _score(phrase: GroundedPhrase) -> float:
    return float(np.mean([region.score for region in phrase.boxes])) if phrase.boxes else 0.0
