"""What the trial of a recipe found: sizes of parts, cost of stages, growth of memory, what learns and what does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowmvg.training.doctor.finding import Finding
from knowmvg.training.doctor.growth import BatchSize, Growth


@dataclass(frozen=True, slots=True)
class PartSize:
    """A part of the model: how many parameters, how many of them are trained, and the bytes of all."""

    parameters: int
    trained: int
    stored: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the run: steps, seconds a step, and bytes at its highest, the weights included."""

    name: str
    steps: int
    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What the trial of a recipe found.

    Args:
        parts: parts of the model by name.
        stages: all stages that are not done yet; the last ones are the grounder's own.
        growth: memory of a forward and backward pass of the grounder's own stage, of two the one that takes more, by
            the size of its batch.
        largest: the largest of the batches that were drawn.
        updating: bytes of the gradients and of what an optimizer step takes for itself.
        kept_by_optimizer: bytes of the optimizer's own numbers.
        cached: bytes of one study's cached features and image tokens.
        studies: studies whose features are cached.
        loss: the first loss.
        untaught: parts with trained parameters of which none got a gradient.
        broken: trained parameters whose gradient is not finite.
        checks: what was looked at in this system alone: tokens of its answers, their lengths, adapters.
        section: section of the recipe with the pace of the stage that ``growth`` to ``kept_by_optimizer`` are of.
    """

    parts: Mapping[str, PartSize]
    stages: Sequence[Stage]
    growth: Growth
    largest: BatchSize
    updating: int
    kept_by_optimizer: int
    cached: int
    studies: int
    loss: float
    untaught: Sequence[str]
    broken: Sequence[str]
    checks: Sequence[Finding] = ()
    section: str = "train"

    def memory(self, share: float = 1.0) -> int:
        """Bytes of a step of the stage of ``section`` at its highest, with a ``share`` of the batch."""
        batch = BatchSize(round(self.largest.tokens * share), round(self.largest.boxes * share))
        held = sum(part.stored for part in self.parts.values()) + self.kept_by_optimizer
        return held + max(self.growth.of(batch), self.updating)
