"""Maps as evidence: what a model's computation held at each place of the image while it placed a phrase.

A map is evidence of a computation and no probability of disease; docs/evidence.md says what each kind is and is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.frames import Frame


class MapKind(StrEnum):
    """What a map shows.

    ``drawn``: how surely the box decoder draws each place as a part of the finding before its box is read from the
    drawing; with several boxes the highest of them.
    ``attention``: the softmax weights with which the decoder's box token reads the image tokens in its last attention,
    averaged over heads and boxes, as shares of the highest.
    ``frozen``: the mask of equation 13, which the frozen mask decoder draws for the global branch.

    Of a diffusion model (docs/diffusion.md):
    ``heat``: the map that the boxes are read from, as a share of its range.
    ``cross_attention``: its cross-attention to the content words, as a share of its range, before biases are merged.
    ``image_bias``: where the first token looks in the noised image, as shares of the highest weight.
    ``text_bias``: where the content words look without image, as shares of the highest weight.
    ``noise_difference``: how much the phrase changes the predicted noise, as shares of the highest norm.
    """

    DRAWN = "drawn"
    ATTENTION = "attention"
    FROZEN = "frozen"
    HEAT = "heat"
    CROSS_ATTENTION = "cross_attention"
    IMAGE_BIAS = "image_bias"
    TEXT_BIAS = "text_bias"
    NOISE_DIFFERENCE = "noise_difference"


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceMap:
    """A map of one phrase.

    Args:
        kind: what it shows.
        cells: ``[h, w]`` float32 in ``[0, 1]`` over the whole canvas of the model.
        frame: stored pixels to that canvas.
        white: the quantity that 1 stands for: 1 for a probability, the highest weight for ``attention``.
    """

    kind: MapKind
    cells: NDArray[np.float32]
    frame: Frame
    white: float = 1.0

    def __post_init__(self) -> None:
        if self.cells.ndim != 2 or 0 in self.cells.shape or self.cells.dtype != np.float32:
            raise ValueError(f"expected float32 cells [h, w], got {self.cells.dtype} {self.cells.shape}")
        if not (self.cells.min() >= 0 and self.cells.max() <= 1):  # NaN is neither
            raise ValueError(f"expected cells in [0, 1], got {self.cells.min()} to {self.cells.max()}")
        if not (np.isfinite(self.white) and self.white > 0):
            raise ValueError(f"expected a positive white, got {self.white}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EvidenceMap):
            return NotImplemented
        same = (self.kind, self.frame, self.white) == (other.kind, other.frame, other.white)
        return same and np.array_equal(self.cells, other.cells)

    def on_image(self) -> NDArray[np.float32]:
        """The map in the stored image's pixels, ``[H, W]`` float32 in ``[0, 1]``, interpolated between the cells."""
        return np.clip(self.frame.render_back(self.cells), 0.0, 1.0)
