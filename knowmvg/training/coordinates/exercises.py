"""Texts that teach a small language model what LLaMA knows: words of reports, the order of numbers, places in a text.

No image is behind any of them. The boxes are drawn at random; of the training split only texts are used, and what each
phrase names (its finding and its side).

* ``report``: a report as an answer to a question of stage 1.
* ``count``: numbers in order, up or down, in steps of one to five.
* ``boxes``: a question about a phrase, answered by random boxes in the codec's form.
* ``find``: a list of findings, each with the numbers of a point, then a question about a phrase; the answer is the
  extent of the points that stand by the phrase's finding, on its side of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from knowmvg.core.boxtext.codec import BoxCodec
from knowmvg.core.boxtext.layout import Layout
from knowmvg.core.records import Side
from knowmvg.grounders.coordinates.conventions import asked
from knowmvg.grounders.coordinates.instructions import Pools, caption_text
from knowmvg.sources.manifest import StudyRow

Numbers = NDArray[np.int64]
KINDS = ("count", "boxes", "find")
SHARES = (0.1, 0.1, 0.8)
"""Of the exercises that are no report."""
POINTS = 5  # most of a region
OTHERS = 3  # most findings that are not asked for


@dataclass(frozen=True, slots=True)
class Exercise:
    """A text to be read, and what is to be written behind it; ``prompt`` may be empty."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Named:
    """A phrase with what it names."""

    text: str
    finding: str
    side: Side | None


class Exercises(Dataset[list[Exercise]]):
    """``length`` batches of exercises; batch ``i`` depends on the seed and ``i`` alone.

    Args:
        rows: training studies.
        codec: of the boxes, whose numbers are tokens.
        pools: of instructions.
        reports: share of reports.
        seed, length, batch: of the draws.
    """

    def __init__(
        self,
        rows: Sequence[StudyRow],
        codec: BoxCodec,
        pools: Pools,
        reports: float,
        seed: int,
        length: int,
        batch: int,
    ) -> None:
        self.reports = [text for row in rows if (text := caption_text(row.report))]
        self.phrases = sorted(
            {
                (phrase.text, phrase.finding, phrase.side)
                for row in rows
                for phrase in row.phrases
                if phrase.finding is not None and phrase.assertion.placed
            },
            key=str,
        )
        self.findings = sorted({finding for _, finding, _ in self.phrases})
        self.layout: Layout = codec.layout("")
        self.greatest = codec.bins or 100
        self.pools, self.share = pools, reports
        self.seed, self.length, self.batch = seed, length, batch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> list[Exercise]:
        rng = np.random.default_rng([self.seed, 13, index])
        return [self.draw(rng) for _ in range(self.batch)]

    def draw(self, rng: np.random.Generator) -> Exercise:
        """One exercise."""
        if self.reports and rng.random() < self.share:
            return self.report(rng)
        if not self.phrases:
            return self.count(rng)
        kind = KINDS[int(rng.choice(len(KINDS), p=SHARES))]
        return {"count": self.count, "boxes": self.boxes, "find": self.find}[kind](rng)

    def report(self, rng: np.random.Generator) -> Exercise:
        """A report as the answer to a question for one."""
        question = self.pools.report[int(rng.integers(len(self.pools.report)))]
        text = self.reports[int(rng.integers(len(self.reports)))]
        return Exercise(f"[INST] {self.pools.task.caption} {question} [/INST]", f" {text}")

    def count(self, rng: np.random.Generator) -> Exercise:
        """Numbers in order."""
        step = int(rng.integers(1, 6)) * (1 if rng.random() < 0.5 else -1)
        length = int(rng.integers(6, 17))
        least, most = max(0, -step * (length - 1)), min(self.greatest, self.greatest - step * (length - 1))
        start = int(rng.integers(least, most + 1)) if most >= least else least
        values = [start + step * place for place in range(length)]
        return Exercise("", "".join(f"<{value}>" for value in values if 0 <= value <= self.greatest))

    def boxes(self, rng: np.random.Generator) -> Exercise:
        """A phrase and boxes that have nothing to do with it."""
        phrase = self._phrase(rng)
        regions = [self._region(rng, side) for side in self._sides(phrase, rng)]
        return Exercise(self._question(phrase, "", rng), self._answer(regions))

    def find(self, rng: np.random.Generator) -> Exercise:
        """Findings with points, and the extent of those that are asked for."""
        phrase = self._phrase(rng)
        asked, listed = [], list[tuple[int, int, str]]()
        for side in self._sides(phrase, rng):
            points = self._points(rng, side)
            asked.append(np.concatenate([points.min(axis=0), points.max(axis=0)]))
            listed += [(y, x, phrase.finding) for x, y in points.tolist()]
        others = [name for name in self.findings if name != phrase.finding]
        for name in rng.permutation(others)[: int(rng.integers(OTHERS + 1))].tolist():
            listed += [(y, x, name) for x, y in self._points(rng, None).tolist()]
        if phrase.side in (Side.LEFT, Side.RIGHT) and rng.random() < 0.5:  # the same finding on the other side
            other = Side.RIGHT if phrase.side is Side.LEFT else Side.LEFT
            listed += [(y, x, phrase.finding) for x, y in self._points(rng, other).tolist()]
        told = " ".join(f"{name}<{x}><{y}>" for y, x, name in sorted(listed))  # in the order of an image's patches
        return Exercise(self._question(phrase, told, rng), self._answer(asked))

    def _phrase(self, rng: np.random.Generator) -> Named:
        return Named(*self.phrases[int(rng.integers(len(self.phrases)))])

    def _sides(self, phrase: Named, rng: np.random.Generator) -> list[Side | None]:
        """The sides on which the phrase has a region each; one region anywhere where it names none."""
        if phrase.side is Side.BILATERAL:
            return [Side.RIGHT, Side.LEFT]
        return [phrase.side]

    def _question(self, phrase: Named, told: str, rng: np.random.Generator) -> str:
        line = self.pools.refer[int(rng.integers(len(self.pools.refer)))]
        question = asked(f"{self.pools.task.refer} {line}", phrase.text, lowered=True)
        return f"[INST] {told} {question} [/INST]"

    def _answer(self, regions: Sequence[Numbers]) -> str:
        ordered = sorted(regions, key=lambda region: int(region[0]))
        return f" {self.layout.write([region.tolist() for region in ordered])}"

    def _points(self, rng: np.random.Generator, side: Side | None) -> Numbers:
        """Points ``[n, 2]``, at least two, that differ in both coordinates."""
        x1, y1, x2, y2 = self._region(rng, side)
        count = int(rng.integers(2, POINTS + 1))
        points = np.stack([rng.integers(x1, x2 + 1, count), rng.integers(y1, y2 + 1, count)], axis=1)
        points[0], points[1] = ((x1, y1), (x2, y2)) if rng.random() < 0.5 else ((x1, y2), (x2, y1))
        return points

    def _region(self, rng: np.random.Generator, side: Side | None) -> Numbers:
        """A random box; the patient's left is on the image's right."""
        half = self.greatest // 2
        low = half + 1 if side is Side.LEFT else 0
        high = half if side is Side.RIGHT else self.greatest
        width, height = (int(rng.integers(2, half - 1)) for _ in range(2))
        x1, y1 = int(rng.integers(low, max(low, high - width) + 1)), int(rng.integers(0, self.greatest - height + 1))
        return np.array([x1, y1, min(x1 + width, high), y1 + height], dtype=np.int64)
