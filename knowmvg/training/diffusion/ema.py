"""A running mean of trained weights that is a part of the task, so that checkpoints hold it and it resumes exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class RunningMean(nn.Module):
    """The exponential mean of the parameters of a module that are trained.

    After step n (from 1): mean = k mean + (1 - k) weight, with k = min(decay, (1 + n) / (10 + n)). It starts at the
    weights before the first step.
    """

    def __init__(self, trained: Iterable[nn.Parameter], decay: float) -> None:
        super().__init__()
        self._trained = list(trained)  # in a list: not a part of this module's own state
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.updates: Tensor
        for index, parameter in enumerate(self._trained):
            self.register_buffer(f"mean_{index}", parameter.detach().clone())

    def _means(self) -> Iterator[Tensor]:
        return (getattr(self, f"mean_{index}") for index in range(len(self._trained)))

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.updates += 1
        step = int(self.updates)
        kept = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._means()), [p.detach() for p in self._trained], 1 - kept)

    @torch.no_grad()
    def put(self) -> None:
        """Make the mean the weights, for good."""
        for parameter, mean in zip(self._trained, self._means(), strict=True):
            parameter.copy_(mean)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module with the mean as its weights, within the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, mean in zip(self._trained, self._means(), strict=True):
            held = parameter.detach().clone()
            parameter.copy_(mean)
            mean.copy_(held)
