"""Loss terms: perfect predictions, gradients, agreement with the numpy boxes, empty batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from knowmvg.core import boxes as bx
from knowmvg.losses.grounding import (
    generalized_iou,
    knowledge_alignment,
    mask_cross_entropy,
    mask_dice,
    score_calibration,
    smooth_l1,
)
from knowmvg.losses.overlap import iou_and_giou


def _boxes(n: int, seed: int) -> torch.Tensor:
    corners = torch.rand(n, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.cat([corners.min(dim=1).values, corners.max(dim=1).values], dim=1)


def test_overlap_agrees_with_the_numpy_boxes() -> None:
    a, b = _boxes(50, 0), _boxes(50, 1)
    iou, giou = iou_and_giou(a, b)
    np.testing.assert_allclose(iou.numpy(), bx.iou(a.numpy(), b.numpy()), atol=1e-12)
    np.testing.assert_allclose(giou.numpy(), bx.giou(a.numpy(), b.numpy()), atol=1e-12)


def test_a_perfect_box_costs_nothing() -> None:
    boxes = _boxes(5, 2)
    assert float(smooth_l1(boxes, boxes)) == 0
    assert float(generalized_iou(boxes, boxes)) == pytest.approx(0, abs=1e-12)


def test_boxes_far_apart_still_pull() -> None:
    predicted = torch.tensor([[0.0, 0.0, 0.1, 0.1]], requires_grad=True)
    generalized_iou(predicted, torch.tensor([[0.8, 0.8, 0.9, 0.9]])).backward()
    assert predicted.grad is not None
    assert (predicted.grad[0, 2:] < 0).all()  # growing towards the target lowers the loss


def test_gradients_are_right() -> None:
    target = _boxes(4, 3)
    start = _boxes(4, 4).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda b: generalized_iou(b, target), (start,))
    assert torch.autograd.gradcheck(lambda b: smooth_l1(b, target), (start,))


@pytest.mark.parametrize("term", [smooth_l1, generalized_iou])
def test_no_box_is_no_loss(term) -> None:
    empty = torch.zeros(0, 4, requires_grad=True)
    value = term(empty, torch.zeros(0, 4))
    value.backward()
    assert float(value.detach()) == 0


def test_masks() -> None:
    target = torch.zeros(2, 4, 4)
    target[:, 1:3, 1:3] = 1
    right = (target * 2 - 1) * 50
    assert float(mask_cross_entropy(right, target)) == pytest.approx(0, abs=1e-6)
    assert float(mask_dice(right, target)) == pytest.approx(0, abs=1e-5)
    assert float(mask_dice(-right, target)) > 0.8
    assert float(mask_dice(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4))) == 0


def test_the_score_learns_the_overlap_and_leaves_the_box_alone() -> None:
    predicted = torch.tensor([[0.0, 0.0, 0.5, 1.0]], requires_grad=True)
    score = torch.tensor([0.0], requires_grad=True)
    loss = score_calibration(score, predicted, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    loss.backward()
    assert predicted.grad is None
    assert score.grad is not None
    assert float(score.grad) == pytest.approx(0.0)  # sigmoid(0) is the reached IoU of one half


def test_alignment_is_least_when_related_nodes_are_nearest() -> None:
    related = torch.tensor([[True, False, False]])
    near, far = torch.tensor([[0.9, 0.0, 0.0]]), torch.tensor([[0.0, 0.9, 0.0]])
    assert knowledge_alignment(near, related) < knowledge_alignment(far, related)
    assert float(knowledge_alignment(near, torch.zeros(1, 3, dtype=torch.bool))) == 0
