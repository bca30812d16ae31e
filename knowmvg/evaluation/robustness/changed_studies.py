"""Labelled studies with a changed image: boxes go with it, are cut at its edges, and are counted where they leave."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from knowmvg.core.boxes import FloatArray, area, as_boxes, clip, iou
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
    """What happened to one study: where its boxes went, the changed size, and the number of boxes that were lost.

    ``old_size`` holds for each label with boxes the IoU of its moved boxes with boxes of the old size in their places:
    1 unless the change makes boxes larger, as a turn does.
    """

    move: Move
    size: tuple[int, int]
    boxes_lost: int = 0
    old_size: Mapping[int, float] = field(default_factory=dict)

    def keep(self, boxes: Sequence[Sequence[float]] | FloatArray) -> Kept:
        """Boxes ``[n, 4]`` of the unchanged image in the changed one, without those that left it."""
        moved = self.move(boxes)
        cut, whole = clip(moved, self.size), area(moved)
        inside = np.divide(area(cut), whole, out=np.ones(len(whole)), where=whole > 0) >= LEAST_LEFT
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
        moved = Moved(shown.move, shown.image.size)
        labels, old_size, lost = [], {}, 0
        for index, label in enumerate(study.labels):
            kept = moved.keep(label.boxes)
            lost += kept.lost
            labels.append(LabelledPhrase(label.phrase, as_boxes([]) if kept.lost else kept.boxes))
            if len(label.boxes) and not kept.lost:
                carried = clip(_carried(label.boxes, shown.move(label.boxes)), moved.size)
                old_size[index] = float(iou(carried, kept.boxes).mean())
        self.moved[study.id] = replace(moved, boxes_lost=lost, old_size=old_size)
        return replace(study, image=shown.image, labels=tuple(labels))


def _carried(boxes: FloatArray, moved: FloatArray) -> FloatArray:
    """Boxes of the old size ``[n, 4]`` about the centres of the moved ones."""
    half, centre = (boxes[:, 2:] - boxes[:, :2]) / 2, (moved[:, :2] + moved[:, 2:]) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for what the names name, the same in every run."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])
