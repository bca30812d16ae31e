"""Several answers to one phrase: the published weights, those by error, and how far answers differ, in closed form."""

from __future__ import annotations

import pytest
import torch

from knowmvg.losses.grounding import generalized_iou, smooth_l1
from knowmvg.losses.hypotheses import agreement, hypothesis_weights
from knowmvg.losses.overlap import iou_and_giou

TARGET = torch.tensor([[0.2, 0.2, 0.6, 0.6], [0.0, 0.0, 0.5, 1.0]], dtype=torch.float64)


def shifted(*by: float) -> torch.Tensor:
    """Hypotheses ``[2, len(by), 4]``, each the target moved along x."""
    move = torch.tensor([[1.0, 0, 1, 0]], dtype=torch.float64)
    return torch.stack([TARGET + amount * move for amount in by], dim=1)


def test_the_published_weights() -> None:
    weights = hypothesis_weights(shifted(0.0, 0.1, 0.2), TARGET)
    torch.testing.assert_close(weights, torch.tensor([[0.95, 0.025, 0.025]] * 2, dtype=torch.float64))
    torch.testing.assert_close(hypothesis_weights(shifted(0.1), TARGET), torch.ones(2, 1, dtype=torch.float64))


def test_weights_by_error_are_each_phrases_own() -> None:
    several = shifted(0.1, 0.2, 0.1)
    several[1] = TARGET[1]  # all exact
    weights = hypothesis_weights(several, TARGET, "error")
    expected = torch.tensor([[0.25, 0.5, 0.25], [1 / 3] * 3], dtype=torch.float64)
    torch.testing.assert_close(weights, expected)
    alone = hypothesis_weights(several[:1], TARGET[:1], "error")
    torch.testing.assert_close(weights[:1], alone)


def test_no_gradient_passes_the_weights() -> None:
    several = shifted(0.1, 0.2).requires_grad_(True)
    assert not hypothesis_weights(several, TARGET, "error").requires_grad


@pytest.mark.parametrize("kind", ["published", "error"])
def test_the_terms_are_weighted_sums_over_hypotheses(kind: str) -> None:
    several = shifted(0.02, 0.2, -0.3)
    weights = hypothesis_weights(several, TARGET, kind)
    rows = [[float(smooth_l1(several[p, h][None], TARGET[p][None], 0.0)) for h in range(3)] for p in range(2)]
    by_hand = sum(float(weights[p, h]) * rows[p][h] for p in range(2) for h in range(3)) / 2
    assert rows[0] == pytest.approx([0.04, 0.4, 0.6])  # plain L1 over two moved edges
    assert float(smooth_l1(several, TARGET, 0.0, weights)) == pytest.approx(by_hand)
    loss = sum(
        float(weights[p, h]) * float(1 - iou_and_giou(several[p, h][None], TARGET[p][None])[1])
        for p in range(2)
        for h in range(3)
    )
    assert float(generalized_iou(several, TARGET, weights)) == pytest.approx(loss / 2)


def test_one_hypothesis_is_the_plain_term() -> None:
    one = shifted(0.07)
    weights = hypothesis_weights(one, TARGET)
    torch.testing.assert_close(smooth_l1(one, TARGET, 0.1, weights), smooth_l1(one[:, 0], TARGET, 0.1))
    torch.testing.assert_close(generalized_iou(one, TARGET, weights), generalized_iou(one[:, 0], TARGET))


def test_beta_turns_from_quadratic_to_linear() -> None:
    moved = TARGET + 0.05
    assert float(smooth_l1(moved, TARGET, 0.0)) == pytest.approx(4 * 0.05)
    assert float(smooth_l1(moved, TARGET, 1.0)) == pytest.approx(4 * 0.5 * 0.05**2)
    assert float(smooth_l1(moved, TARGET, 0.1)) == pytest.approx(4 * 0.5 * 0.05**2 / 0.1)


def test_no_phrase_is_no_loss_and_no_weight() -> None:
    none = torch.zeros(0, 3, 4, requires_grad=True)
    for kind in ("published", "error"):
        weights = hypothesis_weights(none, torch.zeros(0, 4), kind)
        assert weights.shape == (0, 3)
        smooth_l1(none, torch.zeros(0, 4), 0.1, weights).backward()
    assert agreement(none.detach()).shape == (0,)


def test_agreement_is_the_mean_overlap_with_the_mean() -> None:
    torch.testing.assert_close(agreement(shifted(0.1, 0.1)), torch.ones(2, dtype=torch.float64))
    apart = agreement(shifted(-0.1, 0.1))[0]  # each 0.1 off a box 0.4 wide: 0.3 in common, 0.5 together
    assert float(apart) == pytest.approx(0.6)
    assert float(agreement(shifted(-0.4, 0.4))[0]) == 0


def test_unknown_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"published\|error"):
        hypothesis_weights(shifted(0.1), TARGET, "equal")
