from itertools import permutations

import numpy as np
import pytest
from evaluation_fakes import random_boxes
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.boxes import pairwise_iou
from knowmvg.evaluation.metrics import covered_area, matched_iou, phrase_iou, union_iou

SQUARE = [0, 0, 10, 10]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 10, 10], 1.0),
        ([5, 0, 15, 10], 1 / 3),  # half a square in common
        ([0, 0, 5, 5], 0.25),
        ([0, 0, 10, 20], 0.5),
        ([10, 0, 20, 10], 0.0),  # only an edge in common
        ([3, 3, 3, 8], 0.0),  # no area
    ],
)
def test_closed_forms_of_one_box(box, expected):
    assert phrase_iou([box], [SQUARE]) == pytest.approx(expected)
    assert union_iou([box], [SQUARE]) == pytest.approx(expected)
    assert matched_iou([box], [SQUARE]).tolist() == pytest.approx([expected])


def test_half_is_a_hit_at_half():
    assert phrase_iou([[0, 0, 10, 20]], [SQUARE]) >= 0.5


def test_missing_and_surplus_boxes_cost():
    far = [50, 50, 60, 60]
    assert phrase_iou([SQUARE], [SQUARE, far]) == 0.5
    assert phrase_iou([SQUARE, far], [SQUARE]) == 0.5
    assert phrase_iou([SQUARE, SQUARE], [SQUARE]) == 0.5  # a box cannot be hit twice
    assert phrase_iou([], [SQUARE, far]) == 0.0
    assert matched_iou([far], [SQUARE, far]).tolist() == [0.0, 1.0]


def test_a_phrase_without_reference_is_refused():
    with pytest.raises(ValueError, match="at least one reference box"):
        phrase_iou([SQUARE], [])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 1e-15, 1e-13]))
def test_rounding_never_leaves_the_unit_interval(seed, noise):
    rng = np.random.default_rng(seed)
    reference = random_boxes(rng, 3)
    predicted = reference * (1 + noise * rng.normal(size=reference.shape))
    for score in (phrase_iou(predicted, reference), union_iou(predicted, reference)):
        assert 1 - 1e-9 < score <= 1
    assert (matched_iou(predicted, reference) <= 1).all()


def brute_force(predicted, reference):
    overlaps = pairwise_iou(predicted, reference)
    n, m = overlaps.shape
    if n > m:
        overlaps, n, m = overlaps.T, m, n
    return max(sum(overlaps[i, p[i]] for i in range(n)) for p in permutations(range(m), n))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10_000))
def test_matching_is_the_best_of_all_permutations(n, m, seed):
    rng = np.random.default_rng(seed)
    predicted, reference = random_boxes(rng, n), random_boxes(rng, m)
    best = brute_force(predicted, reference)
    assert matched_iou(predicted, reference).sum() == pytest.approx(best)
    assert phrase_iou(predicted, reference) == pytest.approx(best / max(n, m))
    shuffled = phrase_iou(predicted[rng.permutation(n)], reference[rng.permutation(m)])
    assert shuffled == pytest.approx(best / max(n, m))


def raster(boxes, side=30):
    mask = np.zeros((side, side), dtype=bool)
    for x1, y1, x2, y2 in boxes:
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    return mask


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 10_000))
def test_union_equals_counted_pixels(n, m, seed):
    rng = np.random.default_rng(seed)
    sets = [np.sort(rng.integers(0, 30, (k, 2, 2)), axis=1).reshape(k, 4).astype(float) for k in (n, m)]
    a, b = (raster(boxes) for boxes in sets)
    assert covered_area(sets[0]) == a.sum()
    union = (a | b).sum()
    assert union_iou(*sets) == pytest.approx((a & b).sum() / union if union else 0.0)
