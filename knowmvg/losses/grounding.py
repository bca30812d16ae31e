"""The loss terms of equations 16 and 17 and of the additions to them; each a scalar, unweighted."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from knowmvg.losses.overlap import iou_and_giou


def phrase_identification(logits: Tensor, targets: Tensor) -> Tensor:
    """Equation 16: mean cross-entropy of answer tokens, ``<BOX>`` included; logits ``[T, V]``, targets ``[T]``."""
    return F.cross_entropy(logits, targets)


def smooth_l1(predicted: Tensor, target: Tensor, beta: float = 0.1, weights: Tensor | None = None) -> Tensor:
    """First term of equation 17: SmoothL1 summed over the coordinates, averaged over unit boxes ``[P, 4]``.

    With torch's default ``beta`` of 1 the loss on unit coordinates is purely quadratic and weak; 0.1 is ours
    (docs/deviations.md). ``beta`` 0 is the plain L1 of the lineage.

    Of hypotheses ``[P, H, 4]`` it is the sum with ``weights`` ``[P, H]`` (losses/hypotheses.py).
    """
    if len(predicted) == 0:
        return predicted.sum()
    wanted = target if weights is None else target.unsqueeze(1).expand_as(predicted)
    each = F.smooth_l1_loss(predicted, wanted, beta=beta, reduction="none").sum(dim=-1)
    return (each if weights is None else (weights * each).sum(dim=1)).mean()


def generalized_iou(predicted: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Second term of equation 17: ``1 - GIoU``, averaged over unit boxes ``[P, 4]``; hypotheses as ``smooth_l1``."""
    if len(predicted) == 0:
        return predicted.sum()
    if weights is None:
        return (1 - iou_and_giou(predicted, target)[1]).mean()
    wanted = target.unsqueeze(1).expand_as(predicted)
    each = 1 - iou_and_giou(predicted.flatten(0, 1), wanted.flatten(0, 1))[1]
    return (weights * each.view_as(weights)).sum(dim=1).mean()


def score_calibration(score: Tensor, predicted: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the score logit ``[P]`` with the IoU that its box reached; no gradient reaches the box."""
    if len(score) == 0:
        return score.sum()
    with torch.no_grad():
        reached = iou_and_giou(predicted, target)[0]
    return F.binary_cross_entropy_with_logits(score, reached)


def mask_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy of mask logits ``[P, h, w]`` with soft masks in ``[0, 1]``."""
    if len(logits) == 0:
        return logits.sum()
    return F.binary_cross_entropy_with_logits(logits, target)


def mask_dice(logits: Tensor, target: Tensor) -> Tensor:
    """``1 - Dice`` of mask logits ``[P, h, w]`` with soft masks, averaged over the masks."""
    if len(logits) == 0:
        return logits.sum()
    drawn = logits.sigmoid().flatten(1)
    wanted = target.flatten(1)
    return (1 - (2 * (drawn * wanted).sum(dim=1) + 1) / (drawn.sum(dim=1) + wanted.sum(dim=1) + 1)).mean()


def knowledge_alignment(similarity: Tensor, related: Tensor, temperature: float = 0.1) -> Tensor:
    """Pull a phrase's similarity ``[P, N]`` towards the nodes that are ``related`` ``[P, N]`` to it (our addition).

    Equation 9's top-k passes no gradient to the similarity, so nothing teaches the selection; this term does. Rows
    without a related node do not count.
    """
    rows = related.any(dim=1)
    if not bool(rows.any()):
        return similarity.sum() * 0
    log_p = (similarity[rows] / temperature).log_softmax(dim=1)
    wanted = related[rows].to(log_p.dtype)
    return -((log_p * wanted).sum(dim=1) / wanted.sum(dim=1)).mean()
