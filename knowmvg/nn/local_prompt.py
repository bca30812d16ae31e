"""Equations 10 and 11: a coarse box read from the ``<BOX>`` embedding, as two corner tokens of SAM's prompt encoder."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from knowmvg.nn.box_ops import cxcywh_to_xyxy
from knowmvg.nn.feed_forward import MLP


class LocalPrompt(nn.Module):
    """``b_loc = sigmoid(MLP(e_box))`` and its corner encoding ``p_loc``.

    The MLP is trained; the prompt encoder is frozen and not owned here. Equation 11's normalisation is the prompt
    encoder's own: boxes go in as canvas pixels, the frame in which the encoder was trained.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coarse = MLP(channels, channels, 4, layers=3)

    def box(self, box_embedding: Tensor) -> Tensor:
        """``b_loc``: unit xyxy ``[P, 4]`` of embeddings ``[P, d]``."""
        return cxcywh_to_xyxy(self.coarse(box_embedding).sigmoid())

    def tokens(self, boxes: Tensor, prompt_encoder: Any) -> Tensor:
        """``p_loc`` ``[P, 2, d]`` of unit boxes ``[P, 4]``; corners are cut to the canvas."""
        corners = boxes.clamp(0, 1) * prompt_encoder.input_image_size
        sparse, _ = prompt_encoder(None, None, corners.unsqueeze(1) - 0.5, None)  # the encoder adds half a pixel
        return cast(Tensor, sparse[:, 0])
