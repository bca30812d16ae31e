"""SAM's image encoder behind the interface of the radiograph encoder (nn/image_encoder.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of values in [0, 1]; SAM gives them times 255


class SamImageEncoder(nn.Module):
    """Canvas ``[B, 1, S, S]`` in ``[0, 1]`` to features ``[B, 256, S/16, S/16]``, single precision.

    ``S`` is the side that the encoder was trained with. The canvas is square and the radiograph letterboxed into it, so
    that of the encoder's field only the shorter side's margin is empty (the lineage first squashed images to 640 pixels
    and then gave 61 % of the field to padding).

    Args:
        encoder: a ``SamVisionEncoder``; frozen.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.side = int(encoder.config.image_size)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.deviation: Tensor

    def train(self, mode: bool = True) -> SamImageEncoder:
        """It stays in evaluation mode."""
        return super().train(False)

    def forward(self, canvas: Tensor) -> Tensor:
        """Features of canvases. Raises ``ValueError`` for another side than the encoder's."""
        if canvas.shape[-2:] != (self.side, self.side):
            raise ValueError(f"expected canvases of {self.side} x {self.side}, got {tuple(canvas.shape[-2:])}")
        pixels = (canvas.expand(-1, 3, -1, -1) - self.mean) / self.deviation
        features: Tensor = self.encoder(pixels.to(self.encoder.pos_embed.dtype)).last_hidden_state
        return features.float()
