"""What a data set holds, counted as its rows pass: memory does not grow with their number, but for 8 bytes a name."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowmvg.sources.manifest import Box, StudyRow
from knowmvg.sources.prepare.names import Names

GRID = 64  # cells a side of the maps of places
SIZES = 200  # steps of the scale of relative sizes
NO_FINDING = "(not in the lexicon)"

Counts = NDArray[np.int64]


class FindingTally:
    """The boxes of one finding: how many in which split, how large, where.

    A box's relative size is the square root of its share of the image's area, from 0 to 1. ``centres`` and ``covered``
    are maps ``[GRID, GRID]`` over normalised coordinates, rows downwards: how many boxes have their centre in a cell,
    and how many cover the centre of a cell.
    """

    def __init__(self) -> None:
        self.phrases: Counter[str] = Counter()
        self.boxes: Counter[str] = Counter()
        self.sizes: Counts = np.zeros(SIZES, dtype=np.int64)
        self.centres: Counts = np.zeros((GRID, GRID), dtype=np.int64)
        self._edges: Counts = np.zeros((GRID + 1, GRID + 1), dtype=np.int64)

    def add(self, split: str, boxes: tuple[Box, ...], width: int, height: int) -> None:
        """Count a phrase with its boxes."""
        self.phrases[split] += 1
        self.boxes[split] += len(boxes)
        for x1, y1, x2, y2 in boxes:
            left, top, right, bottom = x1 / width, y1 / height, x2 / width, y2 / height
            size = ((right - left) * (bottom - top)) ** 0.5
            self.sizes[min(int(size * SIZES), SIZES - 1)] += 1
            self.centres[_cell((top + bottom) / 2), _cell((left + right) / 2)] += 1
            rows, columns = (_edge(top), _edge(bottom)), (_edge(left), _edge(right))
            self._edges[rows[0], columns[0]] += 1
            self._edges[rows[1], columns[1]] += 1
            self._edges[rows[0], columns[1]] -= 1
            self._edges[rows[1], columns[0]] -= 1

    @property
    def covered(self) -> Counts:
        """How many boxes cover the centre of each cell."""
        inner: Counts = self._edges.cumsum(axis=0).cumsum(axis=1)[:GRID, :GRID]
        return inner

    def median_size(self) -> float | None:
        """The median relative size to within half of a hundredth, or ``None`` without boxes."""
        total = int(self.sizes.sum())
        if total == 0:
            return None
        return (int(np.searchsorted(self.sizes.cumsum(), (total + 1) // 2)) + 0.5) / SIZES


def _cell(place: float) -> int:
    return min(max(int(place * GRID), 0), GRID - 1)


def _edge(place: float) -> int:
    """The first cell whose centre lies at or beyond ``place``."""
    return min(max(int(np.ceil(place * GRID - 0.5)), 0), GRID)


class Tally:
    """All counts of a data set, by split; a study without split has an empty one.

    ``named`` says that phrases are names of categories and no text of reports: those without a finding are then counted
    by their name, of which there are few, and else under ``NO_FINDING`` together.
    """

    def __init__(self, *, named: bool = False) -> None:
        self._named = named
        self.findings: defaultdict[str, FindingTally] = defaultdict(FindingTally)
        self.assertions: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._patients, self._images = Names(), Names()

    def add(self, row: StudyRow) -> None:
        """Count a row."""
        totals = self._totals[row.split]
        totals["studies"] += 1
        totals["patients"] += self._patients.add(row.split, row.patient)
        totals["images"] += self._images.add(row.split, row.image)
        totals["unmentioned"] += len(row.unmentioned)
        for phrase in row.phrases:
            totals["phrases"] += 1
            totals["boxes"] += len(phrase.boxes)
            self.assertions[row.split][phrase.assertion.value] += 1
            if phrase.boxes:
                name = phrase.finding or (phrase.text if self._named else NO_FINDING)
                self.findings[name].add(row.split, phrase.boxes, row.width, row.height)

    @property
    def splits(self) -> list[str]:
        """The splits that have studies: train, val, test, others by name, and last that without a name."""
        order = {"train": 0, "val": 1, "test": 2, "": 4}
        return sorted(self._totals, key=lambda split: (order.get(split, 3), split))

    def counts(self) -> dict[str, dict[str, Any]]:
        """By split: studies, images, patients, phrases, boxes, assertions, and the phrases and boxes by finding."""
        return {split: self._of_split(split) for split in self.splits}

    def _of_split(self, split: str) -> dict[str, Any]:
        totals = self._totals[split]
        found = {name: tally for name, tally in sorted(self.findings.items()) if tally.phrases[split]}
        return {
            **{name: totals[name] for name in ("studies", "images", "patients", "phrases", "boxes", "unmentioned")},
            "assertions": dict(sorted(self.assertions[split].items())),
            "findings": {name: tally.phrases[split] for name, tally in found.items()},
            "boxes_by_finding": {name: tally.boxes[split] for name, tally in found.items()},
        }
