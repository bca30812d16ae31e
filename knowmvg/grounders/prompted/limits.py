"""How much a grounder answers at once, and how long: what memory decides, not the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Limits of answering; results do not depend on the first.

    Args:
        batch_size: studies at once. 16 suit the CPU-size model; a 7B language model on 24 GB takes 1 to 4.
        max_new_tokens: tokens of an answer.
    """

    batch_size: int = 16
    max_new_tokens: int = 256

    def __post_init__(self) -> None:
        if min(self.batch_size, self.max_new_tokens) < 1:
            raise ValueError(f"expected limits of at least 1, got {self}")
