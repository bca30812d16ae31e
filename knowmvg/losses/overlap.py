"""How well boxes agree, differentiable: IoU and generalized IoU of tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def iou_and_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalized IoU (Rezatofighi et al., CVPR 2019) of xyxy boxes ``[P, 4]`` one by one, each ``[P]``."""
    size_a, size_b = (a[:, 2:] - a[:, :2]).clamp(min=0), (b[:, 2:] - b[:, :2]).clamp(min=0)
    inner = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    outer = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0)
    intersection, hull = inner.prod(dim=1), outer.prod(dim=1)
    union = size_a.prod(dim=1) + size_b.prod(dim=1) - intersection
    tiny = torch.finfo(a.dtype).eps
    iou = intersection / union.clamp(min=tiny)
    return iou, iou - (hull - union) / hull.clamp(min=tiny)
