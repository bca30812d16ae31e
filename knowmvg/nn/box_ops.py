"""Box arithmetic on tensors, differentiable. Formats are named; boxes are unit coordinates of the canvas."""

from __future__ import annotations

import torch
from torch import Tensor


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """``(centre x, centre y, width, height)`` ``[..., 4]`` to ``(x1, y1, x2, y2)``."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """``(x1, y1, x2, y2)`` ``[..., 4]`` to ``(centre x, centre y, width, height)``."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(top_left + bottom_right) / 2, bottom_right - top_left], dim=-1)


def ordered(boxes: Tensor) -> Tensor:
    """Boxes xyxy ``[..., 4]`` with swapped corners put right."""
    a, b = boxes[..., :2], boxes[..., 2:]
    return torch.cat([torch.minimum(a, b), torch.maximum(a, b)], dim=-1)


def filled(boxes: Tensor, height: int, width: int) -> Tensor:
    """Share ``[P, height, width]`` of each cell of the canvas that unit boxes xyxy ``[P, 4]`` cover."""

    def covered(low: Tensor, high: Tensor, cells: int) -> Tensor:
        start = torch.arange(cells, device=boxes.device, dtype=boxes.dtype)
        low, high = low.unsqueeze(1) * cells, high.unsqueeze(1) * cells
        return (torch.minimum(high, start + 1) - torch.maximum(low, start)).clamp(0, 1)

    x1, y1, x2, y2 = boxes.unbind(dim=1)
    return covered(y1, y2, height).unsqueeze(2) * covered(x1, x2, width).unsqueeze(1)
