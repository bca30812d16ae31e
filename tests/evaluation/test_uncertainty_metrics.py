"""Calibration and risk-coverage against scikit-learn, all orders of ties, and closed forms; missing answers."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from knowmvg.evaluation.metrics import (
    aurc,
    aurc_optimal,
    aurc_random,
    calibration_error,
    e_aurc,
    reliability,
    risk_coverage,
    usable_boxes,
    valid_only_mean,
    valid_rate,
    zero_where_invalid,
)


def drawn(seed, n=200):
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, n)
    return scores, rng.uniform(0, 1, n) < scores**2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["width", "count"]), st.integers(1, 15))
def test_the_diagram_is_scikit_learns(seed, by, bins):
    scores, hits = drawn(seed)
    found = reliability(scores, hits, bins=bins, by=by)
    strategy = {"width": "uniform", "count": "quantile"}[by]
    target, score = calibration_curve(hits, scores, n_bins=bins, strategy=strategy)
    assert found.target == pytest.approx(target)
    assert found.score == pytest.approx(score)
    assert found.count.sum() == len(scores)
    assert ((found.lower <= found.score) & (found.score <= found.upper)).all()
    gaps = np.abs(target - score)
    assert found.expected_error == pytest.approx((gaps * found.count).sum() / len(scores))
    assert found.greatest_error == pytest.approx(gaps.max())


def test_calibration_error_in_closed_form():
    assert calibration_error([0.7] * 10, [1] * 7 + [0] * 3) == pytest.approx(0)
    assert calibration_error([0.9] * 10, [1] * 7 + [0] * 3) == pytest.approx(0.2)
    assert calibration_error([0.25, 0.75], [0.2, 0.9]) == pytest.approx(0.1)  # IoU as targets
    assert calibration_error([0.0, 1.0], [0, 1]) == 0  # both ends have a bin
    assert np.isnan(calibration_error([], []))
    assert np.isnan(reliability([], []).greatest_error)
    assert np.isnan(reliability([], [], by="count").expected_error)


def test_one_bin_compares_the_means():
    scores, hits = drawn(1)
    assert calibration_error(scores, hits, bins=1) == pytest.approx(abs(scores.mean() - hits.mean()))


def test_a_million_calibrated_scores_have_no_error():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, 1_000_000)
    assert calibration_error(scores, rng.uniform(size=scores.size) < scores) < 0.003


@pytest.mark.parametrize(("scores", "targets"), [([1.2], [1]), ([np.nan], [1]), ([0.5], [2]), ([0.5, 0.5], [1])])
def test_junk_is_refused(scores, targets):
    with pytest.raises(ValueError, match="expected"):
        calibration_error(scores, targets)


def test_no_bins_are_refused():
    with pytest.raises(ValueError, match="at least 1 bin"):
        calibration_error([0.5], [1], bins=0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=6))
def test_the_curve_is_the_mean_over_all_orders_of_equal_scores(pairs):
    """Every order of the phrases, sorted by score alone, risks summed by hand."""
    curves = []
    for order in permutations(pairs):
        risks = [risk for _, risk in sorted(order, key=lambda pair: -pair[0])]
        curves.append([sum(risks[:k]) / k for k in range(1, len(risks) + 1)])
    found = risk_coverage(*np.array(pairs, dtype=float).T)
    assert found.risk == pytest.approx(np.mean(curves, axis=0))
    assert found.coverage == pytest.approx(np.arange(1, len(pairs) + 1) / len(pairs))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_the_optimum_and_the_random_reference_bound_it(seed, whole):
    rng = np.random.default_rng(seed)
    risks = (rng.uniform(size=30) < 0.3).astype(float) if whole else rng.uniform(size=30)
    scores = rng.uniform(size=30)
    assert aurc_optimal(risks) - 1e-12 <= aurc(scores, risks) <= aurc(risks, risks) + 1e-12
    assert aurc_random(risks) == pytest.approx(risks.mean())
    assert e_aurc(-risks, risks) == pytest.approx(0)
    assert aurc(np.exp(scores), risks) == pytest.approx(aurc(scores, risks))  # only the order counts


def test_the_random_reference_is_the_mean_over_random_scores():
    rng = np.random.default_rng(0)
    risks = rng.uniform(size=50)
    drawn_ = [aurc(rng.uniform(size=50), risks) for _ in range(2000)]
    assert aurc_random(risks) == pytest.approx(np.mean(drawn_), abs=0.005)


def test_the_optimum_of_hits_and_misses_in_closed_form():
    """Geifman et al. 2019: ``r + (1 - r) ln(1 - r)`` for many phrases with the error rate ``r``."""
    for rate in (0.1, 0.4, 0.8):
        risks = np.arange(200_000) < rate * 200_000
        assert aurc_optimal(risks) == pytest.approx(rate + (1 - rate) * np.log(1 - rate), abs=1e-4)


def test_phrases_without_a_box_come_last():
    found = risk_coverage([0.2, -np.inf, 0.9], [0.5, 1, 0.1])
    assert found.risk == pytest.approx([0.1, 0.3, 1.6 / 3])
    several = risk_coverage([-np.inf, 0.5, -np.inf], [1, 0.2, 0.4])
    assert several.risk == pytest.approx([0.2, 0.45, 1.6 / 3])  # among themselves they have no order


def test_risk_and_coverage_at_the_edges():
    assert risk_coverage([], []).risk.shape == (0,)
    assert np.isnan([aurc([], []), aurc_optimal([]), aurc_random([]), e_aurc([], [])]).all()
    assert aurc([0.3], [0.4]) == aurc_optimal([0.4]) == 0.4
    for scores, risks in (([0.5], [np.nan]), ([np.nan], [0.5]), ([0.5], [])):
        with pytest.raises(ValueError, match="finite risk a score"):
            aurc(scores, risks)


def test_what_is_a_box():
    boxes = [[0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 1], [np.nan, 0, 1, 1], [0, 0, np.inf, 1]]
    assert usable_boxes(boxes).tolist() == [True, False, False, False, False, False]
    assert usable_boxes([]).shape == (0,)
    with pytest.raises(ValueError, match="shape"):
        usable_boxes([1, 2, 3])


def test_missing_answers_score_0_and_are_counted():
    ious, valid = [0.8, np.nan, 0.4, 0.9], [True, False, True, False]
    assert zero_where_invalid(ious, valid).tolist() == [0.8, 0, 0.4, 0]
    assert valid_rate(valid) == 0.5
    assert valid_only_mean(ious, valid) == pytest.approx(0.6)
    assert zero_where_invalid(ious, valid).mean() == pytest.approx(valid_rate(valid) * valid_only_mean(ious, valid))
    assert np.isnan(valid_rate([]))
    assert np.isnan(valid_only_mean([0.3], [False]))


def test_a_valid_answer_needs_a_number():
    with pytest.raises(ValueError, match="got NaN"):
        zero_where_invalid([np.nan], [True])
    with pytest.raises(ValueError, match="a value and a bool"):
        zero_where_invalid([0.5, 0.5], [True])
    with pytest.raises(ValueError, match="a bool a phrase"):
        valid_rate([1, 0])
