"""Training of a grounder on studies whose image features are cached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from knowmvg.grounders.prompted.batch import Batch, Example
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.losses.overlap import iou_and_giou
from knowmvg.training.cache import FeatureCache
from knowmvg.training.language import LanguageTask, Spoken, speak

Draw = tuple[Example, list[Spoken]]


class Draws(Dataset[Draw]):
    """``length`` draws of an example, with ``spoken`` reports without an image beside it.

    Draw ``i`` depends on the seed and ``i`` alone; every example is drawn once before any is drawn again. The extra
    reports keep the language model from learning the training reports by heart.
    """

    def __init__(self, examples: Sequence[Example], seed: int, length: int, spoken: int) -> None:
        self.examples, self.seed, self.length, self.spoken = examples, seed, length, spoken
        rounds = -(-length // len(examples))
        self.order = np.concatenate(
            [np.random.default_rng([seed, 4, turn]).permutation(len(examples)) for turn in range(rounds)]
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Draw:
        example = self.examples[self.order[index]]
        return example, [speak(self.seed + 1, index * self.spoken + i) for i in range(self.spoken)]


class GroundingTask(nn.Module):
    """A grounder with its loss terms; ``text`` is the mean over answers with and without an image."""

    def __init__(self, grounder: PromptedGrounder, cache: FeatureCache) -> None:
        super().__init__()
        self.model = grounder.model
        self._spoken = [LanguageTask(grounder.model.vlm, grounder.tokenizer)]
        self._parts = (grounder, cache)

    def collate(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """Draws as a batch, with cached features."""
        grounder, cache = self._parts
        examples = [example for example, _ in draws]
        spoken = [report for _, reports in draws for report in reports]
        batch = grounder.collate(examples, cache([example.id for example in examples]))
        return {"batch": batch, "spoken": self._spoken[0].collate(spoken) if spoken else None}

    def forward(self, batch: Batch, spoken: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Named loss terms."""
        terms = self._parts[0].losses(batch)
        if spoken is not None:
            terms["text"] = (terms["text"] + self._spoken[0](**spoken)["text"]) / 2
        return terms


@torch.inference_mode()
def validate(grounder: PromptedGrounder, cache: FeatureCache, examples: Sequence[Example]) -> dict[str, float]:
    """Mean IoU and acc@0.5 of single boxes, teacher-forced: for choosing a checkpoint, not for reporting."""
    overlaps: list[Tensor] = []
    right = total = 0
    for start in range(0, len(examples), 32):
        part = examples[start : start + 32]
        batch = grounder.collate(part, cache([example.id for example in part]))
        states = grounder.model.vlm(batch.input_ids, None, batch.image)
        placed = grounder.model.place(states[batch.box_rows, batch.box_columns], batch.image, batch.box_rows)
        overlaps.append(iou_and_giou(placed.decoded.boxes.xyxy, batch.boxes)[0])
        tokens = grounder.model.vlm.logits(states[batch.text_rows, batch.text_columns]).argmax(dim=-1)
        right += int((tokens == batch.text_targets).sum())
        total += len(tokens)
    overlap = torch.cat(overlaps)
    return {
        "miou": float(overlap.mean()),
        "acc50": float((overlap >= 0.5).float().mean()),
        "token_accuracy": right / total,
    }
