"""One stage of PFMVG: AdamW along half a cosine on adapters and projection, over pairs of a question and its answer.

A stage can stop after any step and go on from its state as if it had not (``state`` and ``restore``); the order of the
pairs of an epoch hangs on seed and epoch alone. Where lengths are told, pairs of about one length share a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.grounders.coordinates.tuning import AnswerBatch, answer_loss, unfreeze
from knowmvg.training.coordinates.recipe import CosinePart

ALIKE = 16  # batches among whose items those of one length are put together


@dataclass(frozen=True, slots=True)
class Progress:
    """A step that was taken: its number from 1, its loss and its learning rate."""

    step: int
    loss: float
    rate: float


class Stage:
    """A stage in the making.

    Args:
        loaded: the model, with adapters where they are trained.
        part: length and pace.
        items: how many items an epoch has.
        batch_of: makes the batch of some items, by their numbers; the second argument is the source of chance.
        projection: whether the projection is trained too.
        language: whether the whole language model is trained too, for one that has read little.
        seed: of order and chance.
        lengths: of the items, in any unit; without, batches are drawn without regard to length.

    Raises ``ValueError`` for no items, and where anything but adapters and projection would be trained.
    """

    def __init__(
        self,
        loaded: SpeakingBackbone,
        part: CosinePart,
        items: int,
        batch_of: Callable[[Sequence[int], Random], AnswerBatch],
        *,
        projection: bool = True,
        language: bool = False,
        seed: int = 0,
        lengths: Sequence[int] | None = None,
    ) -> None:
        if items < 1:
            raise ValueError("expected items to learn from, got none")
        self.loaded, self.part, self.items, self.seed = loaded, part, items, seed
        self.lengths = lengths
        self._epoch: tuple[int, list[list[int]]] = (-1, [])
        self.steps = part.epochs * -(-items // part.batch)
        self.step = 0
        self.batch_of = batch_of
        self.parameters = unfreeze(loaded.vlm, projection=projection, language=language)
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=part.lr, weight_decay=part.weight_decay)

    def run(self, most: int | None = None) -> Iterator[Progress]:
        """Take the steps that are left, or at most so many, one at a time; the model is left in evaluation mode."""
        last = self.steps if most is None else min(self.steps, self.step + most)
        try:
            while self.step < last:
                yield self._take()
        finally:
            self.loaded.vlm.eval()

    def state(self) -> dict[str, Any]:
        """What has to be kept to go on: step, what was trained, and the optimizer's moments."""
        trained = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        return {"step": self.step, "trained": trained, "optimizer": self.optimizer.state_dict()}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``state``. Raises ``ValueError`` for the state of another model."""
        if set(state["trained"]) != set(self.parameters):
            raise ValueError("expected the state of a stage with these parameters, got one with others")
        for name, parameter in self.parameters.items():
            parameter.copy_(state["trained"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])

    def _take(self) -> Progress:
        rate = self.part.rate(self.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(self.seed * 1_000_003 + self.step)  # of dropout: the same whether or not it was interrupted
        batch = self.batch_of(self._chosen(), Random(f"{self.seed} {self.step}"))
        self.loaded.vlm.train()
        self.optimizer.zero_grad()  # before the pass, not behind it: old gradients and activations are not held at once
        loss = answer_loss(self.loaded.vlm, batch)
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(f"the loss of step {self.step} is not finite")
        loss.backward()
        clip_grad_norm_(self.parameters.values(), self.part.clip)
        self.optimizer.step()
        self.step += 1
        return Progress(self.step, float(loss.detach()), rate)

    def _chosen(self) -> list[int]:
        """The items of the present step."""
        epoch, place = divmod(self.step, -(-self.items // self.part.batch))
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self.batches(epoch))
        return self._epoch[1][place]

    def batches(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch in order: every item once."""
        size, order = self.part.batch, list(range(self.items))
        random = Random(f"{self.seed} {epoch} order")
        random.shuffle(order)
        lengths = self.lengths
        if lengths is not None:
            reach = size * ALIKE
            parts = (order[start : start + reach] for start in range(0, self.items, reach))
            order = [item for part in parts for item in sorted(part, key=lambda item: lengths[item])]
        batches = [order[start : start + size] for start in range(0, self.items, size)]
        if lengths is not None:
            random.shuffle(batches)
        return batches
