"""Rows that a model must beat, scored by the same protocol: what phrase, report and image are worth alone.

Priors (``MeanBox``) look at no image. Views change what the model itself sees: ``blank`` takes the image away, and
``Shuffled`` the report and its phrases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from knowmvg.core.boxes import FloatArray, as_boxes, iou
from knowmvg.core.grounder import Query
from knowmvg.core.records import LabelledPhrase, Phrase, Radiograph, Study
from knowmvg.evaluation.prior import Prior, training_boxes
from knowmvg.evaluation.studies import Studies, each, patient_of

Field: TypeAlias = Literal["finding", "side", "zone"]
Key: TypeAlias = tuple[str | None, ...]

MEAN_BOX: tuple[Field, ...] = ()
CLASS_MEAN_BOX: tuple[Field, ...] = ("finding",)
TEXT_ORACLE: tuple[Field, ...] = ("finding", "side", "zone")


@dataclass(frozen=True, slots=True)
class _Cell:
    """Mean boxes ``[n, 4]`` in unit coordinates, left to right, and their mean IoU with the boxes that they average."""

    boxes: FloatArray
    score: float


class MeanBox(Prior):
    """The mean box of the training phrases that agree in ``fields``; a ``Grounder`` that sees neither image nor report.

    Boxes are learned as shares of the image's width and height. A phrase with n boxes gets the mean of the k-th boxes
    of training phrases with n boxes, from the image's left to its right. A phrase unlike all training phrases falls
    back to fewer fields, from the last, and at the end, for an unseen number of boxes, to the mean of all boxes.
    """

    name = "mean box"

    def __init__(self, found: Mapping[tuple[Key, int], Sequence[FloatArray]], fields: tuple[Field, ...]) -> None:
        self._cells = {key: _cell(sets) for key, sets in found.items()}
        self._usual = _usual(found)
        every = np.concatenate([boxes for (key, _), sets in found.items() if key == () for boxes in sets])
        self._overall = _cell(every[:, None])
        self.fields = fields

    @classmethod
    def fit(cls, studies: Studies, fields: tuple[Field, ...]) -> MeanBox:
        """Learn from labelled training studies. Raises ``ValueError`` where none of their phrases has a box."""
        found: defaultdict[tuple[Key, int], list[FloatArray]] = defaultdict(list)
        for phrase, boxes in training_boxes(studies):
            for depth in range(len(fields) + 1):
                found[_key(phrase, fields[:depth]), len(boxes)].append(boxes)
        return cls(found, fields)

    def with_fields(self, n: int) -> MeanBox:
        """The prior of the first ``n`` fields, from the same training studies."""
        shorter = copy(self)
        shorter.fields = self.fields[:n]
        return shorter

    def known(self, query: Query) -> tuple[FloatArray, float]:
        """The mean boxes of the query's phrase, and the IoU that they had with those that they average."""
        cell = self._find(query)
        return cell.boxes, cell.score

    def _find(self, query: Query) -> _Cell:
        for depth in range(len(self.fields), -1, -1):
            key = _key(query.phrase, self.fields[:depth])
            n = query.boxes if query.boxes is not None else self._usual.get(key)
            if n is not None and (key, n) in self._cells:
                return self._cells[key, n]
        return _Cell(np.repeat(self._overall.boxes, query.boxes or 0, axis=0), self._overall.score)


def blank(study: Study) -> Study:
    """The study with its image replaced by its mean grey. The identifier changes, lest a cache know the image."""
    image = study.image
    grey = np.full_like(image.pixels, image.pixels.mean())
    return replace(study, image=Radiograph(grey, image.pixel_aspect, image.warnings), id=f"{study.id} (blank image)")


@dataclass(frozen=True, slots=True)
class _Text:
    """What a study lends to another one: its report with its phrases."""

    id: str
    patient: str
    report: str
    phrases: tuple[Phrase, ...]

    @property
    def placed(self) -> tuple[Phrase, ...]:
        return tuple(phrase for phrase in self.phrases if phrase.assertion.placed)


class Shuffled:
    """A view that gives every study the report and the phrases of a study of another patient, drawn once by ``seed``.

    The k-th reference boxes are then asked for by the k-th phrase of the donor, who has as many phrases or more where
    there is such a one; else the donor's phrases are repeated. Boxes and image stay.
    """

    def __init__(self, studies: Studies, seed: int = 0) -> None:
        texts = [
            _Text(study.id, patient_of(study), study.report, tuple(label.phrase for label in study.labels))
            for study in each(studies)
        ]
        self._donors = _draw_donors(texts, np.random.default_rng(seed))

    def __call__(self, study: Study) -> Study:
        """The study as it is shown. Raises ``KeyError`` for a study that was not among those of the constructor."""
        donor = self._donors[study.id]
        own = [label for label in study.labels if label.phrase.assertion.placed]
        lent = [donor.placed[k % len(donor.placed)] for k in range(max(len(own), len(donor.placed)))]
        placed = [
            LabelledPhrase(phrase, own[k].boxes if k < len(own) else as_boxes([])) for k, phrase in enumerate(lent)
        ]
        rest = [LabelledPhrase(p, as_boxes([])) for p in donor.phrases if not p.assertion.placed]
        return replace(study, report=donor.report, labels=(*placed, *rest), id=f"{study.id} (text of {donor.id})")


def _draw_donors(texts: Sequence[_Text], rng: np.random.Generator) -> dict[str, _Text]:
    """A donor for each study. Raises ``ValueError`` where a study has no other patient's phrases to take."""
    patients = np.array([text.patient for text in texts], dtype=np.str_)
    sizes = np.array([len(text.placed) for text in texts], dtype=np.int64)
    donors = {}
    for text in texts:
        others = np.where(patients != text.patient, sizes, 0)
        if not others.any():
            raise ValueError("expected phrases of at least two patients to shuffle, got fewer")
        enough = np.flatnonzero(others >= min(max(len(text.placed), 1), int(others.max())))
        donors[text.id] = texts[int(rng.choice(enough))]
    return donors


def _key(phrase: Phrase, fields: tuple[Field, ...]) -> Key:
    return tuple(getattr(phrase, field) for field in fields)


def _cell(sets: Sequence[FloatArray] | FloatArray) -> _Cell:
    stack = np.stack(list(sets))  # [phrases, n, 4]
    mean = stack.mean(axis=0)
    return _Cell(mean, float(iou(stack, np.broadcast_to(mean, stack.shape)).mean()))


def _usual(found: Mapping[tuple[Key, int], Sequence[FloatArray]]) -> dict[Key, int]:
    """The most frequent number of boxes of each key, the smaller of two equally frequent ones."""
    best: dict[Key, tuple[int, int]] = {}
    for (key, n), sets in found.items():
        best[key] = max(best.get(key, (0, 0)), (len(sets), -n))
    return {key: -n for key, (_, n) in best.items()}
