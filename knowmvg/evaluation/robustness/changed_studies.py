"""Labelled studies with a changed image: boxes go with it, are cut at its edges, and are counted where they leave."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from knowmvg.core.boxes import FloatArray, area, as_boxes, clip
from knowmvg.core.records import LabelledPhrase, Study
from knowmvg.evaluation.robustness.image_changes import ImageChange, Move
from knowmvg.evaluation.studies import Studies, each

LEAST_LEFT = 0.25
"""A box with less than this share of its area inside the changed image has left it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Moved boxes cut to the changed image ``[m, 4]`` and how many of them all were lost."""

    boxes: FloatArray
    lost: int


@dataclass(frozen=True, slots=True)
class Moved:
    """What happened to one study: where its boxes went, the changed size, the boxes and phrases that were lost."""

    move: Move
    size: tuple[int, int]
    boxes_lost: int
    phrases_lost: int

    def keep(self, boxes: Sequence[Sequence[float]] | FloatArray) -> Kept:
        """Boxes ``[n, 4]`` of the unchanged image in the changed one, without those that left it."""
        moved = self.move(boxes)
        cut, whole = clip(moved, self.size), area(moved)
        inside = np.divide(area(cut), whole, out=np.zeros(len(whole)), where=whole > 0) >= LEAST_LEFT
        return Kept(cut[inside], int((~inside).sum()))


class ChangedStudies:
    """Starts passes over studies with one change; ``moved`` tells what became of each, by its identifier.

    A phrase that lost a box is left without a reference: its answer could not be compared. Identifiers stay, so that
    samples pair with those of the unchanged studies.
    """

    def __init__(self, studies: Studies, change: ImageChange, seed: int = 0) -> None:
        self.change = change
        self.moved: dict[str, Moved] = {}
        self._studies, self._seed = studies, seed

    def __call__(self) -> Iterator[Study]:
        """A new pass."""
        return map(self._changed, each(self._studies))

    def _changed(self, study: Study) -> Study:
        shown = self.change.apply(study.image, generator(self._seed, study.id, self.change.name))
        before = Moved(shown.move, shown.image.size, 0, 0)
        labels, lost = [], []
        for label in study.labels:
            kept = before.keep(label.boxes)
            lost.append(kept.lost)
            labels.append(LabelledPhrase(label.phrase, as_boxes([]) if kept.lost else kept.boxes))
        self.moved[study.id] = replace(before, boxes_lost=sum(lost), phrases_lost=sum(n > 0 for n in lost))
        return replace(study, image=shown.image, labels=tuple(labels))


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for what the names name, the same in every run."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])
