"""Many phrases at once score as each alone, and as scipy and counted pixels say."""

import numpy as np
import pytest
from evaluation_fakes import random_boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from knowmvg.core.boxes import pairwise_iou
from knowmvg.evaluation.metrics import (
    BoxSets,
    centre_distances,
    covered_area,
    dice_box,
    dice_boxes,
    phrase_iou,
    phrase_ious,
    union_iou,
    union_ious,
)
from knowmvg.evaluation.metrics.assignment import matched, partners

NONE = np.zeros((0, 4))


def ragged(seed, n=12, most=6):
    """Predicted (none to ``most``) and reference boxes (one to ``most``) of ``n`` phrases."""
    rng = np.random.default_rng(seed)
    return (
        [random_boxes(rng, int(rng.integers(0, most + 1))) for _ in range(n)],
        [random_boxes(rng, int(rng.integers(1, most + 1))) for _ in range(n)],
    )


def by_scipy(p, r):
    overlaps = pairwise_iou(p, r)
    return overlaps[linear_sum_assignment(overlaps, maximize=True)].sum() / max(overlaps.shape)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_phrases_together_score_as_scipy_says_and_as_each_alone(seed):
    predicted, reference = ragged(seed)
    sets = BoxSets.of(predicted), BoxSets.of(reference)
    pairs = list(zip(predicted, reference, strict=True))
    assert phrase_ious(*sets) == pytest.approx([by_scipy(p, r) for p, r in pairs], abs=1e-12)
    assert phrase_ious(*sets).tolist() == [phrase_iou(p, r) for p, r in pairs]
    assert union_ious(*sets).tolist() == [union_iou(p, r) for p, r in pairs]
    assert dice_boxes(*sets).tolist() == [dice_box(p, r) for p, r in pairs]


def test_chunks_make_no_difference(monkeypatch):
    sets = [BoxSets.of(boxes) for boxes in ragged(3)]
    whole = phrase_ious(*sets), union_ious(*sets)
    monkeypatch.setattr("knowmvg.evaluation.metrics.box_sets._CHUNK_CELLS", 1)
    assert np.array_equal(whole, (phrase_ious(*sets), union_ious(*sets)))


def raster(boxes, side=30):
    mask = np.zeros((side, side), dtype=bool)
    for x1, y1, x2, y2 in boxes:
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    return mask


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_union_and_dice_of_ragged_phrases_equal_counted_pixels(seed):
    rng = np.random.default_rng(seed)
    sets = [
        [np.sort(rng.integers(0, 30, (k, 2, 2)), axis=1).reshape(k, 4).astype(float) for k in rng.integers(0, 5, 12)]
        for _ in range(2)
    ]
    pixels = [(raster(p), raster(r)) for p, r in zip(*sets, strict=True)]
    iou = [(a & b).sum() / max(1, (a | b).sum()) for a, b in pixels]
    dice = [2 * (a & b).sum() / max(1, a.sum() + b.sum()) for a, b in pixels]
    together = [BoxSets.of(boxes) for boxes in sets]
    assert union_ious(*together) == pytest.approx(iou)
    assert dice_boxes(*together) == pytest.approx(dice)


def test_mean_dice_is_no_function_of_mean_iou():
    """Two pairs of phrases with one mean IoU and two mean Dice."""
    square, half = [[0, 0, 10, 10]], [[0, 0, 10, 5]]
    spread = dice_boxes(BoxSets.of([square, [[20, 0, 30, 10]]]), BoxSets.of([square, square])).mean()
    even = dice_boxes(BoxSets.of([half, half]), BoxSets.of([square, square])).mean()
    assert (spread, even) == (0.5, pytest.approx(2 / 3))


def test_swapped_corners_cover_nothing():
    assert union_iou([[9, 9, 0, 0]], [[0, 0, 9, 9]]) == 0
    assert covered_area([[9, 9, 0, 0]]) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 10_000))
def test_assignments_of_a_batch(rows, columns, batch, seed):
    weights = np.random.default_rng(seed).uniform(-1, 1, (batch, rows, columns))
    best = [item[linear_sum_assignment(item, maximize=True)].sum() for item in weights]
    assert matched(weights).sum(axis=1) == pytest.approx(best)
    chosen = partners(weights)
    assert ((chosen >= 0).sum(axis=1) == min(rows, columns)).all()
    for row in chosen:
        assert len(set(row[row >= 0])) == min(rows, columns)  # nobody twice


@pytest.mark.parametrize("shape", [(0, 2, 2), (3, 0, 2), (3, 2, 0), (3, 0, 0), (2, 7, 5), (2, 1, 40)])
def test_assignments_of_empty_and_large_sets(shape):
    weights = np.random.default_rng(0).uniform(0, 1, shape)
    found = matched(weights)
    assert found.shape == (shape[0], shape[2])
    best = [item[linear_sum_assignment(item, maximize=True)].sum() for item in weights]
    assert found.sum(axis=1) == pytest.approx(np.array(best))


def test_no_phrase_and_no_box():
    nothing = BoxSets.of([])
    assert phrase_ious(nothing, nothing).shape == union_ious(nothing, nothing).shape == (0,)
    assert union_iou(NONE, NONE) == dice_box(NONE, NONE) == 0
    with pytest.raises(ValueError, match="at least one reference box"):
        phrase_ious(BoxSets.of([NONE]), BoxSets.of([NONE]))


def test_junk_is_refused():
    box = np.array([[0, 0, 1, 1.0]])
    with pytest.raises(ValueError, match="counts that sum"):
        BoxSets(box, np.array([2]))
    with pytest.raises(ValueError, match="counts that sum"):
        BoxSets(box, np.array([2, -1]))
    with pytest.raises(ValueError, match="finite"):
        BoxSets.single([[0, 0, np.nan, 1]])
    with pytest.raises(ValueError, match="as many phrases"):
        phrase_ious(BoxSets.single(box), BoxSets.of([box, box]))


def test_centres():
    boxes, moved = [[0, 0, 10, 10], [0, 0, 10, 10]], [[3, 4, 13, 14], [0, 0, 10, 10]]
    assert centre_distances(boxes, moved, (30, 40)).tolist() == [0.1, 0.0]
    assert centre_distances(boxes, moved, [[30, 40], [1, 1]]).tolist() == [0.1, 0.0]
    with pytest.raises(ValueError, match="as many boxes"):
        centre_distances(boxes, moved[:1], (30, 40))
    with pytest.raises(ValueError, match="positive"):
        centre_distances(boxes, moved, (0, 40))
