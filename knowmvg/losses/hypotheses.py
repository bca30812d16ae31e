"""How several answers to one phrase are taught: the weights of uMedGround's multiple hypotheses, phrase by phrase."""

from __future__ import annotations

import torch
from torch import Tensor

from knowmvg.losses.overlap import iou_and_giou

MAIN = 0.95
WEIGHTS = ("published", "error")


def hypothesis_weights(hypotheses: Tensor, target: Tensor, kind: str = "published") -> Tensor:
    """Weights ``[P, H]`` of unit boxes ``[P, H, 4]``, of sum 1 for each phrase; no gradient passes them.

    ``published`` gives the first, the main one, 0.95 and shares the rest among the others (0.025 each of three: the
    lineage's multiple hypotheses). ``error`` gives each the share of its own error, the Euclidean norm of its distance
    from ``target`` ``[P, 4]`` over the sum of these norms (the lineage's U-MHP, whose code stops with an error as
    released): the worst hypothesis learns most. Where all are exact they share alike.
    """
    if kind not in WEIGHTS:
        raise ValueError(f"expected weights {'|'.join(WEIGHTS)}, got {kind!r}")
    rows, count = hypotheses.shape[:2]
    if kind == "published":
        others = (1 - MAIN) / max(count - 1, 1)
        weights = hypotheses.new_tensor([MAIN if count > 1 else 1.0] + [others] * (count - 1))
        return weights.expand(rows, count)
    with torch.no_grad():
        errors = (hypotheses - target.unsqueeze(1)).norm(dim=-1)
        total = errors.sum(dim=1, keepdim=True)
        return torch.where(total > 0, errors / total.clamp(min=torch.finfo(errors.dtype).tiny), 1 / count)


def agreement(hypotheses: Tensor) -> Tensor:
    """Mean IoU ``[P]`` of hypotheses ``[P, H, 4]`` with their mean box: 1 where all say the same."""
    middle = hypotheses.mean(dim=1, keepdim=True).expand_as(hypotheses)
    iou, _ = iou_and_giou(hypotheses.flatten(0, 1), middle.flatten(0, 1))
    return iou.view(hypotheses.shape[:2]).mean(dim=1)
