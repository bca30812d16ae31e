"""What a study's report gives as captions of its image, and how one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from knowmvg.core.records import Section
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.report.sections import split_sections
from knowmvg.training.diffusion.recipe import CaptionKind

EMPTY = ""
BETWEEN = ". "
_FALLBACK = ("phrases", "impression", "report")


@dataclass(frozen=True, slots=True)
class Span:
    """A phrase inside a text: ``[start, end)`` in its characters."""

    start: int
    end: int
    phrase: PhraseRow


@dataclass(frozen=True, slots=True)
class Captioned:
    """The texts of one study: its placed phrases, its impression and its whole report (either may be empty)."""

    phrases: tuple[str, ...]
    impression: str
    report: str

    @classmethod
    def of(cls, row: StudyRow) -> Captioned:
        """The texts of a manifest row. No box is read: a phrase is placed by what the report asserts of it."""
        bodies = [row.report[s.start : s.end] for s in split_sections(row.report) if s.section is Section.IMPRESSION]
        phrases = tuple(dict.fromkeys(_plain(p.text) for p in row.phrases if p.assertion.placed))
        return cls(phrases, _plain(" ".join(bodies)), _plain(row.report))

    def draw(self, kind: str, rng: np.random.Generator) -> str:
        """A caption of a kind (``recipe.CaptionPart.kinds``), or of the next kind that the study has a text of.

        A study whose report is empty has the empty caption.
        """
        for wanted in (kind, *_FALLBACK):
            text = self._text(wanted, rng)
            if text:
                return text
        return EMPTY

    def _text(self, kind: str, rng: np.random.Generator) -> str:
        if kind == "impression":
            return self.impression
        if kind == "report":
            return self.report
        if not self.phrases:
            return EMPTY
        if kind == "phrase":
            return self.phrases[int(rng.integers(len(self.phrases)))]
        return BETWEEN.join(self.phrases[i] for i in rng.permutation(len(self.phrases)))


class CaptionDraw:
    """Draws the captions of a batch: empty ones at the rate of the dropout, the others by the weights of their kinds.

    Unlike in the published trainer of Generate to Ground, whose empty prompts were put in after the step they were
    meant for (docs/deviations.md), what is drawn here is what the UNet is given.
    """

    def __init__(self, kinds: Mapping[CaptionKind, float], dropout: float) -> None:
        self.kinds, self.dropout = tuple(kinds), dropout
        weights = np.array(tuple(kinds.values()), dtype=np.float64)
        self.shares = weights / weights.sum()

    def __call__(self, studies: Sequence[Captioned], rng: np.random.Generator) -> list[str]:
        """A caption for each study."""
        captions = []
        for study in studies:
            kind = self.kinds[int(rng.choice(len(self.kinds), p=self.shares))]
            text = study.draw(kind, rng)
            captions.append(EMPTY if rng.random() < self.dropout else text)
        return captions


def _plain(text: str) -> str:
    return " ".join(text.split())
