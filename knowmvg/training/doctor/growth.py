"""How the memory of a step grows with its batch, found on small ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class BatchSize:
    """What the memory of a batch goes by: padded tokens, those of texts without an image included, and boxes.

    Of a diffusion model's batch its images are counted in the place of tokens, and no boxes; of PFMVG's, whose boxes
    are text, tokens alone.
    """

    tokens: int
    boxes: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes of a forward and backward pass as ``fixed + per_token * tokens + per_box * boxes``, none below zero."""

    fixed: float
    per_token: float
    per_box: float

    @classmethod
    def fitted(cls, sizes: Sequence[BatchSize], taken: Sequence[int]) -> Growth:
        """The least-squares growth through measurements of small batches."""
        from scipy.optimize import nnls

        rows = np.array([[1.0, size.tokens, size.boxes] for size in sizes])
        scale = rows.max(axis=0).clip(1)
        found, _ = nnls(rows / scale, np.array(taken, dtype=float))
        return cls(*(float(value) for value in found / scale))

    def of(self, size: BatchSize) -> int:
        """Bytes for a batch."""
        return round(self.fixed + self.per_token * size.tokens + self.per_box * size.boxes)
