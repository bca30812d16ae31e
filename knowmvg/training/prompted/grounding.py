"""Training of a grounder on studies whose image features are cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.batch import Batch, Example
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.objective import Objective
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.losses.overlap import iou_and_giou
from knowmvg.nn.global_local_attention import GlobalLocalAttention
from knowmvg.training.cache import FeatureCache
from knowmvg.training.prompted.language import LanguageTask, Spoken, SpokenBatches

FIGURES = ("miou", "acc50", "token_accuracy")  # of validation

DrawnBatch = tuple[list[Example], list[Spoken]]


class DrawnBatches(Dataset[DrawnBatch]):
    """``length`` batches of examples of about equal length, with ``spoken`` reports without an image beside each.

    Batch ``i`` depends on the seed and ``i`` alone; every example is drawn once before any is drawn again. Examples
    are drawn ``shelf`` batches at a time and sorted by length, so that short ones are not padded to the longest; the
    batches of a shelf come in random order. The extra reports keep the language model from learning the training
    reports by heart.
    """

    shelf = 8

    def __init__(self, examples: Sequence[Example], seed: int, length: int, batch: int, spoken: int) -> None:
        self.examples, self.length = examples, length
        draws = length * batch
        rounds = -(-draws // len(examples))
        turns = [np.random.default_rng([seed, 4, turn]).permutation(len(examples)) for turn in range(rounds)]
        order = np.concatenate(turns)[:draws]
        sizes = np.array([len(example.prompt) + len(example.answer) for example in examples])
        self.batches: list[NDArray[np.int64]] = []
        for shelf, start in enumerate(range(0, draws, self.shelf * batch)):
            drawn = order[start : start + self.shelf * batch]
            drawn = drawn[np.argsort(sizes[drawn], kind="stable")].reshape(-1, batch)
            self.batches.extend(drawn[np.random.default_rng([seed, 5, shelf]).permutation(len(drawn))])
        self.spoken = SpokenBatches(seed + 1, length, batch * spoken) if spoken else None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> DrawnBatch:
        return [self._example(i, index) for i in self.batches[index]], self.spoken[index] if self.spoken else []

    def _example(self, index: int, batch: int) -> Example:
        return self.examples[index]


class AugmentedBatches(DrawnBatches):
    """The same draws with images changed anew in each; ``redrawn`` gives example ``i`` as a generator changes it.

    Batch ``i`` depends on the seed and ``i`` alone here too.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        seed: int,
        length: int,
        batch: int,
        spoken: int,
        redrawn: Callable[[int, np.random.Generator], Example],
    ) -> None:
        super().__init__(examples, seed, length, batch, spoken)
        self.seed, self.redrawn = seed, redrawn

    def _example(self, index: int, batch: int) -> Example:
        return self.redrawn(int(index), np.random.default_rng([self.seed, 6, batch, index]))


class GroundingTask(nn.Module):
    """A grounder with its loss terms; ``text`` is the mean over answers with and without an image.

    Args:
        grounder: what is taught.
        cache: image features of its studies.
        local_steps: batches in which the local branch of a global-local attention learns alone. Both branches share
            a decoder, and a batch with one branch costs little more than half; the count is part of a checkpoint.
        tokens: image tokens of its studies, of a language model with a vision tower of its own.
        objective: how the terms are taken.
        alike: whether a batch without a box computes what one with boxes does (``grounding_losses``).
    """

    def __init__(
        self,
        grounder: PromptedGrounder,
        cache: FeatureCache,
        local_steps: int = 0,
        tokens: FeatureCache | None = None,
        objective: Objective | None = None,
        alike: bool = False,
    ) -> None:
        super().__init__()
        self.model = grounder.model
        self.local_steps, self.objective, self.alike = local_steps, objective, alike
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.batches: Tensor
        words = grounder.tokenizer  # a backbone is taught on images alone
        self._spoken = [LanguageTask(grounder.model.vlm, words)] if isinstance(words, GroundingTokenizer) else []
        self._parts = (grounder, cache, tokens)
        self.register_state_dict_post_hook(_leave_out_frozen)
        self.register_load_state_dict_post_hook(_miss_no_frozen)

    def collate(self, batches: Sequence[DrawnBatch]) -> dict[str, Any]:
        """Drawn batches as one, with cached features."""
        grounder, cache, tokens = self._parts
        examples = [example for drawn, _ in batches for example in drawn]
        spoken = [report for _, reports in batches for report in reports]
        if examples[0].canvas is not None:  # changed in this draw: no cache holds its features
            batch = grounder.collate(examples)
        else:
            ids = [example.id for example in examples]
            batch = grounder.collate(examples, cache(ids), None if tokens is None else tokens(ids))
        return {"batch": batch, "spoken": self._spoken[0].collate(spoken) if spoken else None}

    @property
    def device(self) -> torch.device:
        """Where the grounder lives."""
        return self._parts[0].device

    def forward(self, batch: Batch, spoken: dict[str, Tensor] | None = None, judged: bool = False) -> dict[str, Tensor]:
        """Named loss terms; of a ``judged`` batch what ``validate`` asks."""
        if judged:
            return self.answered(batch)
        if self.training:
            self.batches += 1
        attention = self.model.attention
        if isinstance(attention, GlobalLocalAttention):
            attention.joined = int(self.batches) > self.local_steps
        terms = self._parts[0].losses(batch, self.objective, self.alike)
        if spoken is not None:
            terms["text"] = (terms["text"] + self._spoken[0](**spoken)["text"]) / 2
        return terms

    def answered(self, batch: Batch) -> dict[str, Tensor]:
        """The IoU ``[P]`` that each box reaches, and of each answer token whether it would be written ``[K]``."""
        features = batch.image.to(next(self.model.projection.parameters()).dtype)
        states = self.model.vlm(batch.input_ids, None, batch.read)
        with torch.autocast(features.device.type, enabled=False):
            placed = self.model.place(*batch.emitting(states.to(features.dtype)), features, batch.box_rows)
        written = self.model.vlm.logits(states[batch.text_rows, batch.text_columns]).argmax(dim=-1)
        overlap = iou_and_giou(placed.decoded.boxes.xyxy, batch.boxes)[0]
        return {"overlap": overlap, "right": written == batch.text_targets}


def _of_frozen(task: nn.Module, names: Iterable[str], prefix: str = "") -> list[str]:
    """Names of frozen weights: shared parts that the run finds again, bases that may have billions of weights."""
    assert isinstance(task, GroundingTask)
    parts = (*(f"{part}." for part in task.model.frozen), *store.referred(task._parts[0].config))
    frozen = tuple(f"{prefix}model.{part}" for part in parts)
    trained = {f"{prefix}model.{name}" for name in task.model.trainable()}
    return [name for name in names if name.startswith(frozen) and name not in trained]


def _leave_out_frozen(task: nn.Module, state: dict[str, Tensor], prefix: str, _: object) -> None:
    """A checkpoint does not hold them."""
    for name in _of_frozen(task, list(state), prefix):
        del state[name]


def _miss_no_frozen(task: nn.Module, lacking: Any) -> None:
    """One that is read need not hold them."""
    for name in _of_frozen(task, list(lacking.missing_keys)):
        lacking.missing_keys.remove(name)


@torch.no_grad()
def validate(
    task: GroundingTask, examples: Sequence[Example], batch_size: int = 32, engine: nn.Module | None = None
) -> dict[str, float]:
    """Mean IoU and acc@0.5 of single boxes, teacher-forced: for choosing a checkpoint, not for reporting.

    ``engine`` runs the task where its weights are in parts (ZeRO-3), so that it cannot run by itself.
    """
    told: list[dict[str, Tensor]] = []
    for start in range(0, len(examples), batch_size):
        batch = task.collate([(list(examples[start : start + batch_size]), [])])["batch"].to(task.device)
        told.append(task.answered(batch) if engine is None else engine(batch=batch, judged=True))
    overlap, right = (torch.cat([part[name] for part in told]) for name in ("overlap", "right"))
    figures = float(overlap.mean()), float((overlap >= 0.5).float().mean()), int(right.sum()) / len(right)
    return dict(zip(FIGURES, figures, strict=True))
