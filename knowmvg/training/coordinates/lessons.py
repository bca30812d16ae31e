"""What the two stages are taught: questions about images with their answers, drawn by a step's own source of chance."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol

import numpy as np

from knowmvg.core.boxtext.codec import BoxCodec
from knowmvg.core.boxtext.views import View
from knowmvg.core.errors import ManifestError
from knowmvg.core.records import LabelledPhrase
from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.grounders.coordinates.examples import Pair, caption_pair, refer_pair
from knowmvg.grounders.coordinates.instructions import caption_text, pools
from knowmvg.grounders.coordinates.tuning import AnswerBatch, collate
from knowmvg.sources.manifest import StudyRow, read_rows
from knowmvg.training.coordinates.crops import random_part
from knowmvg.training.coordinates.recipe import CaptionData
from knowmvg.training.coordinates.shown import frame_of_row
from knowmvg.training.coordinates.tokens import Look, Shown


class Lessons(Protocol):
    """Items of a stage. ``lengths`` says about how many tokens each has beside its image."""

    lengths: list[int]

    def sources(self) -> dict[Path, list[StudyRow]]:
        """The studies whose images are shown, by data set folder."""
        ...

    def pair(self, item: int, random: Random) -> tuple[Shown, Pair]:
        """What is shown, the question about it and the answer."""
        ...


class _Told(NamedTuple):
    folder: Path
    row: StudyRow
    report: bool


class ReportLessons:
    """Stage 1: an item a study with words, of every data set as many as its share says.

    Args:
        data: data sets as the recipe names them, with their studies.
        most_words: of an answer.
        view: of the picture.
        seed: of the choice among the studies of a set that has more than its share.

    Raises ``ManifestError`` where no study has words.
    """

    def __init__(
        self, data: Sequence[tuple[CaptionData, Path, Sequence[StudyRow]]], most_words: int, view: View, seed: int
    ) -> None:
        self.most_words, self.view = most_words, view
        worded = [[row for row in rows if caption_text(row.report, most_words)] for _, _, rows in data]
        shares = [part.share for part, _, _ in data]
        items = list[_Told]()
        for (part, folder, _), rows, count in zip(data, worded, _counts([*map(len, worded)], shares), strict=True):
            drawn = Random(f"{seed} {folder} share").sample(rows, count) if count < len(rows) else rows
            items += [_Told(folder, row, part.text == "report") for row in drawn]
        if not items:
            raise ManifestError("training studies with words, for stage 1", "none", "Set caption.epochs=0.")
        self._items, self._sources = items, {folder: list(rows) for _, folder, rows in data}
        self.lengths = [len(caption_text(item.row.report, most_words).split()) for item in items]

    def sources(self) -> dict[Path, list[StudyRow]]:
        """See ``Lessons``; all that a data set has to learn from."""
        return self._sources

    def pair(self, item: int, random: Random) -> tuple[Shown, Pair]:
        """See ``Lessons``."""
        folder, row, report = self._items[item]
        made = caption_pair(row.report, pools(), random, report=report, most_words=self.most_words)
        assert made is not None  # a study without words is no item
        return (folder, row, frame_of_row(folder, row, self.view)), made


class PhraseLessons:
    """Stage 2: an item a phrase that is placed, with all its boxes.

    Args:
        folder: the data set.
        rows: its training studies.
        codec: of the boxes.
        view: of the picture.
        least_side: least share of each side that a random crop keeps; 1 shows the whole image.

    Raises ``ManifestError`` where no phrase has a box.
    """

    def __init__(
        self, folder: Path, rows: Sequence[StudyRow], codec: BoxCodec, view: View, least_side: float = 1.0
    ) -> None:
        self.folder, self.codec, self.view, self.least_side = folder, codec, view, least_side
        self._rows = list(rows)
        self._items = list[tuple[StudyRow, LabelledPhrase]]()
        for row in rows:
            frame = frame_of_row(folder, row, view)
            shown = (label for label in labels_of(row) if refer_pair(label, codec, frame, pools()) is not None)
            self._items += [(row, label) for label in shown]
        if not self._items:
            raise ManifestError("training phrases with boxes, for stage 2", f"none in {folder}", "See docs/data.md.")
        self.lengths = [len(label.phrase.text.split()) + 8 * len(label.boxes) for _, label in self._items]

    def sources(self) -> dict[Path, list[StudyRow]]:
        """See ``Lessons``."""
        return {self.folder: self._rows}

    def pair(self, item: int, random: Random) -> tuple[Shown, Pair]:
        """See ``Lessons``."""
        row, label = self._items[item]
        frame = frame_of_row(self.folder, row, self.view)
        if self.least_side < 1:
            part = random_part((row.width, row.height), label.boxes, self.least_side, random)
            closer = frame_of_row(self.folder, row, self.view, part)
            if refer_pair(label, self.codec, closer, pools()) is not None:  # what fills the square can lose its edges
                frame = closer
        made = refer_pair(label, self.codec, frame, pools(), random)
        assert made is not None  # such a phrase is no item
        return (self.folder, row, frame), made


@dataclass(frozen=True, slots=True)
class Teacher:
    """Makes the batches of a stage: what ``Stage`` takes as ``batch_of``."""

    loaded: SpeakingBackbone
    lessons: Lessons
    look: Look

    def __call__(self, items: Sequence[int], random: Random) -> AnswerBatch:
        """The batch of some items, on the model's device."""
        drawn = [self.lessons.pair(item, random) for item in items]
        tokens = self.look([shown for shown, _ in drawn])
        pairs = [(pair.question, pair.answer) for _, pair in drawn]
        batch = collate(self.loaded, pairs, tokens, self.loaded.part.max_length)
        return batch.to(self.loaded.vlm.model.device)


def labels_of(row: StudyRow) -> list[LabelledPhrase]:
    """The phrases of a row with their boxes."""
    return [
        LabelledPhrase(phrase.phrase(), np.array(phrase.boxes, dtype=float).reshape(-1, 4)) for phrase in row.phrases
    ]


def caption_rows(folder: Path, held_out: Collection[str]) -> tuple[list[StudyRow], int]:
    """The training studies of a data set, and how many were left out as those of patients who are held out.

    Raises ``ManifestError`` for a folder without training studies.
    """
    found = list(read_rows(folder, "train"))
    rows = [row for row in found if row.patient not in held_out]
    if not rows:
        todo = "Divide them (knowmvg splits), or take the data set out of caption.data."
        raise ManifestError("studies in the split train", f"none to learn from in {folder}", todo)
    return rows, len(found) - len(rows)


def _counts(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """How many items of each set make the shares right, none taken twice in an epoch; 0 of an empty set."""
    whole = min((size / share for size, share in zip(sizes, shares, strict=True) if size), default=0.0)
    return [min(size, max(1, round(whole * share))) if size else 0 for size, share in zip(sizes, shares, strict=True)]
