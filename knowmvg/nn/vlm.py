"""What a grounder asks of a vision-language model, whatever its size.

Image tokens are found by the id of their placeholder, never by an offset. The embedding of a ``<BOX>`` token is the
hidden state that emits it: in training the state one position earlier, in generation the state of the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer: token ids ``[B, M]`` and, beside each, the hidden state ``[B, M, D]`` that emitted it."""

    ids: Tensor
    states: Tensor


class VisionLanguageModel(Protocol):
    """Reads ``[image placeholders][report]`` and writes an answer."""

    hidden_size: int

    @property
    def image_length(self) -> int:
        """Placeholders that an image takes in a prompt."""
        ...

    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None, features: Tensor | None) -> Tensor:
        """Last hidden states ``[B, T, D]``."""
        ...

    def logits(self, states: Tensor) -> Tensor:
        """Next-token logits ``[..., V]``."""
        ...

    def generate(
        self, input_ids: Tensor, attention_mask: Tensor, features: Tensor, *, stop_id: int, max_new_tokens: int
    ) -> Generation:
        """Greedy continuation of left-padded prompts."""
        ...
