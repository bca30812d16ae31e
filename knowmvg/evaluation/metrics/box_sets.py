"""The boxes of many phrases in two arrays, for metrics that score a million of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from knowmvg.core.boxes import FloatArray, as_boxes
from knowmvg.evaluation.metrics.assignment import IntArray

_CHUNK_CELLS = 1_000_000  # pairs of boxes scored at once; bounds the memory

Kernel = Callable[[FloatArray, FloatArray], FloatArray]
"""Scores of equally shaped phrases ``[batch]`` from their boxes ``[batch, p, 4]`` and ``[batch, r, 4]``."""


@dataclass(frozen=True, slots=True)
class BoxSets:
    """Boxes ``[N, 4]`` (float xyxy) of ``n`` phrases one after the other, and how many each has, ``[n]``.

    Raises:
        ValueError: boxes that ``core.boxes.as_boxes`` refuses, a negative count, or counts that do not sum to ``N``.
    """

    boxes: FloatArray
    counts: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", as_boxes(self.boxes))
        counts = np.asarray(self.counts, dtype=np.int64).reshape(-1)
        object.__setattr__(self, "counts", counts)
        if (counts < 0).any() or counts.sum() != len(self.boxes):
            raise ValueError(f"expected counts that sum to {len(self.boxes)} boxes, got {counts.sum()}")

    @classmethod
    def of(cls, phrases: Iterable[ArrayLike]) -> BoxSets:
        """The boxes of each phrase, ``[k, 4]`` with ``k`` from 0."""
        sets = [as_boxes(boxes) for boxes in phrases]
        counts = np.array([len(boxes) for boxes in sets], dtype=np.int64)
        return cls(np.concatenate(sets) if sets else as_boxes([]), counts)

    @classmethod
    def single(cls, boxes: ArrayLike) -> BoxSets:
        """One box a phrase, ``[n, 4]``."""
        array = as_boxes(boxes)
        return cls(array, np.ones(len(array), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def starts(self) -> IntArray:
        """Where each phrase's boxes begin in ``boxes``, ``[n]``."""
        return np.asarray(np.cumsum(self.counts) - self.counts, dtype=np.int64)

    @property
    def phrases(self) -> IntArray:
        """The phrase that each box belongs to, ``[N]``."""
        return np.repeat(np.arange(len(self)), self.counts)


def score_sets(predicted: BoxSets, reference: BoxSets, kernel: Kernel) -> FloatArray:
    """A number a phrase, ``[n]``: phrases with equally many boxes on both sides go through ``kernel`` together.

    Raises ``ValueError`` when the two are not of equally many phrases.
    """
    if len(predicted) != len(reference):
        raise ValueError(f"expected as many phrases on both sides, got {len(predicted)} and {len(reference)}")
    scores = np.zeros(len(reference))
    if len(scores) == 0:
        return scores
    starts = predicted.starts, reference.starts
    shapes, inverse = np.unique(np.stack([predicted.counts, reference.counts]), axis=1, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    for (p, r), group in zip(shapes.T, groups, strict=True):
        step = max(1, _CHUNK_CELLS // max(1, (p + r) ** 2))
        for rows in np.split(group, range(step, len(group), step)):
            first = predicted.boxes[starts[0][rows, None] + np.arange(p)]
            scores[rows] = kernel(first, reference.boxes[starts[1][rows, None] + np.arange(r)])
    return scores
