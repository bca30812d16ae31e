"""Texts with what they say, token by token: what a small text encoder learns before the diffusion model reads with it.

Every word piece of a phrase is asked for the finding, the side, the zone and the assertion of its phrase, and hidden
word pieces are asked for. The labels come from the report alone (the manifest's phrases, which `knowmvg prepare` reads
with the report parser): no box and no image is used. A token so carries what its own phrase says and not what the
phrase beside it does, which is what lets cross-attention tell two findings of one caption apart. The first and the last
token are taught to say nothing: a place that no phrase explains has somewhere else to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from knowmvg.core.records import Assertion, Side
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.training.diffusion.captions import BETWEEN, Span

ASPECTS = ("finding", "side", "zone", "assertion")
IGNORED = -100
HIDDEN = 0.15  # share of word pieces that are hidden, and of those the shares of BERT (Devlin et al. 2019, 3.1)


@dataclass(frozen=True, slots=True)
class Told:
    """A text and the phrases in it."""

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """The values that each aspect of a phrase can have; 0 stands for none of them."""

    values: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, rows: Sequence[StudyRow]) -> Labels:
        """The labels of the phrases of rows."""
        phrases = [phrase for row in rows for phrase in row.phrases]
        return cls(
            {
                "finding": tuple(sorted({p.finding for p in phrases if p.finding})),
                "side": tuple(side.value for side in Side),
                "zone": tuple(sorted({p.zone for p in phrases if p.zone})),
                "assertion": tuple(assertion.value for assertion in Assertion),
            }
        )

    def sizes(self) -> dict[str, int]:
        """Classes of each aspect, the one for nothing included."""
        return {aspect: len(values) + 1 for aspect, values in self.values.items()}

    def of_phrase(self, phrase: PhraseRow) -> list[int]:
        """The class of a phrase in each aspect."""
        said = (phrase.finding, phrase.side, phrase.zone, phrase.assertion)
        return [
            1 + self.values[a].index(value) if value in self.values[a] else 0
            for a, value in zip(ASPECTS, said, strict=True)
        ]


class ReadingBatches(Dataset[list[Told]]):
    """``length`` batches of reports, phrases and lists of phrases; batch ``i`` depends on the seed and ``i`` alone."""

    def __init__(self, rows: Sequence[StudyRow], seed: int, length: int, batch: int) -> None:
        self.rows = [row for row in rows if row.report.strip()]
        self.seed, self.length, self.batch = seed, length, batch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> list[Told]:
        rng = np.random.default_rng([self.seed, 6, index])
        chosen = rng.integers(len(self.rows), size=self.batch)
        return [self._told(self.rows[i], rng) for i in chosen]

    def _told(self, row: StudyRow, rng: np.random.Generator) -> Told:
        how = int(rng.integers(3))
        if how == 0 or not row.phrases:
            spans = tuple(Span(*phrase.span, phrase) for phrase in row.phrases if phrase.span is not None)
            return Told(row.report, spans)
        most = 1 if how == 1 else min(len(row.phrases), 4)
        chosen = [row.phrases[i] for i in rng.permutation(len(row.phrases))[:most]]
        return joined(chosen)


def joined(phrases: Sequence[PhraseRow]) -> Told:
    """Phrases as one caption."""
    text, spans = "", []
    for phrase in phrases:
        text += BETWEEN if text else ""
        spans.append(Span(len(text), len(text) + len(phrase.text), phrase))
        text += phrase.text
    return Told(text, tuple(spans))


def collate_reading(
    told: Sequence[Told], tokenizer: Any, labels: Labels, max_tokens: int, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Ids with hidden word pieces, their mask, the targets of hidden ones, and the class of every token in each aspect.

    Of a text that is too long a window is taken at random.
    """
    room = max_tokens - 2
    read = tokenizer([one.text for one in told], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    width = min(max_tokens, max(len(ids) for ids in read["input_ids"]) + 2)
    ids = np.full((len(told), width), tokenizer.pad_token_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    words = np.full_like(ids, IGNORED)
    classes = np.full((len(ASPECTS), *ids.shape), IGNORED, dtype=np.int64)
    for row, one in enumerate(told):
        pieces, offsets = np.array(read["input_ids"][row], dtype=np.int64), read["offset_mapping"][row]
        first = int(rng.integers(max(len(pieces) - room, 0) + 1))
        kept = pieces[first : first + room]
        end = 1 + len(kept)
        ids[row, 0], ids[row, 1:end], ids[row, end] = tokenizer.cls_token_id, kept, tokenizer.sep_token_id
        mask[row, : end + 1] = 1
        classes[:, row, : end + 1] = 0
        for span in one.spans:
            inside = [k for k, (a, b) in enumerate(offsets[first : first + room]) if a >= span.start and b <= span.end]
            classes[:, row, [1 + k for k in inside]] = np.array(labels.of_phrase(span.phrase))[:, None]
        hidden = 1 + np.flatnonzero(rng.random(len(kept)) < HIDDEN)
        words[row, hidden] = ids[row, hidden]
        how = rng.random(len(hidden))
        ids[row, hidden[how < 0.8]] = tokenizer.mask_token_id
        other = hidden[how >= 0.9]
        ids[row, other] = rng.integers(len(tokenizer), size=len(other))
    out = {"input_ids": ids, "attention_mask": mask, "words": words, "classes": classes}
    return {name: torch.from_numpy(value) for name, value in out.items()}
