"""A step of training as the trainer takes it, by itself, to be measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from knowmvg.training.memory import highest_memory

ADAM = 2  # numbers that the optimizer keeps for each that is trained


class TrainingStep:
    """A step of training as the trainer takes it: gradients, clipping, AdamW."""

    def __init__(self, task: nn.Module, weights: Mapping[str, float], clip: float) -> None:
        self.task, self.weights, self.clip = task.train(), weights, clip
        self.trained = [p for p in task.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-9)

    @property
    def kept(self) -> int:
        """Bytes of the optimizer's own numbers."""
        return 4 * ADAM * sum(p.numel() for p in self.trained)

    def __call__(self, batch: dict[str, Any]) -> float:
        """The whole step. Returns the loss."""
        loss = self.gradients(batch)
        self.update()
        return loss

    def gradients(self, batch: dict[str, Any]) -> float:
        """Forward and backward. Returns the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.task(**batch)
        total = torch.stack([self.weights[name] * terms[name] for name in terms if self.weights.get(name)]).sum()
        total.backward()
        return float(total.detach())

    def update(self) -> None:
        """Clip and step."""
        nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()

    def updating(self, device: torch.device) -> int:
        """Bytes of the gradients and of what an update takes for itself; there was one before."""
        return sum(4 * p.numel() for p in self.trained) + highest_memory(self.update, device)
