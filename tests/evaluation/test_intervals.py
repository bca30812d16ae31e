import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from knowmvg.evaluation.intervals import (
    MIN_PATIENTS,
    bootstrap,
    cluster_totals,
    mean_interval,
    paired_difference,
    resample,
)


def test_equals_scipy_with_one_phrase_a_patient():
    """Scipy's BCa at the confidence level to which Student's quantile expands the interval."""
    rng = np.random.default_rng(1)
    scores = rng.beta(4, 1, 300)
    ours = mean_interval(scores, [f"p{i}" for i in range(300)], resamples=10_000, seed=3)
    level = 2 * stats.norm.cdf(np.sqrt(300 / 299) * stats.t.ppf(0.975, 299)) - 1
    theirs = stats.bootstrap(
        (scores,), np.mean, n_resamples=10_000, method="BCa", confidence_level=level, rng=np.random.default_rng(4)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(scores.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.04 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.04 * width)


def test_acceleration_equals_scipys():
    rng = np.random.default_rng(11)
    sample = rng.exponential(size=40)
    totals = np.stack([sample, np.ones(40)], axis=1)
    found = bootstrap(totals, lambda sums: sums[:, :1] / sums[:, 1:], resamples=10)
    assert found.acceleration[0] == pytest.approx(stats.skew(sample) / (6 * np.sqrt(40)))  # closed form of a mean
    shifted = bootstrap(totals + np.array([1e6, 0]), lambda sums: sums[:, :1] / sums[:, 1:], resamples=10)
    assert shifted.acceleration[0] == pytest.approx(found.acceleration[0], rel=1e-4)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0, 3.0]), min_size=5, max_size=25),
    st.integers(0, 5),
)
def test_p_value_and_interval_say_the_same(gaps, seed):
    names = [f"p{i}" for i in range(len(gaps))]
    found = paired_difference(gaps, np.zeros(len(gaps)), names, seed=seed)
    excluded = found.low > 0 or found.high < 0
    if abs(found.p - 0.05) > 1e-9:
        assert excluded == (found.p < 0.05)
    turned = paired_difference(np.zeros(len(gaps)), gaps, names, seed=seed)
    assert turned.p == pytest.approx(found.p)
    assert (-turned.high, -turned.low) == pytest.approx((found.low, found.high), abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0.1, 5), st.floats(-3, 3))
def test_interval_moves_and_scales_with_the_numbers(scores, scale, shift):
    names = [f"p{i % 7}" for i in range(len(scores))]
    plain = mean_interval(scores, names, resamples=200)
    moved = mean_interval(np.array(scores) * scale + shift, names, resamples=200)
    if plain.low is not None and np.ptp(scores) > 1e-6:
        ends = (plain.low * scale + shift, plain.high * scale + shift)
        assert (moved.low, moved.high) == pytest.approx(ends, abs=1e-6)


def test_where_all_shares_are_alike_the_bound_of_clopper_and_pearson():
    totals = np.ones((10, 2))
    share = bootstrap(totals, lambda sums: sums[:, :1] / sums[:, 1:], resamples=50).estimate(0, share=True)
    exact = stats.binomtest(10, 10).proportion_ci(0.95, method="exact")
    assert (share.low, share.high) == pytest.approx((exact.low, exact.high))
    totals[:, 0] = 0
    none = bootstrap(totals, lambda sums: sums[:, :1] / sums[:, 1:], resamples=50).estimate(0, share=True)
    assert (none.low, none.high) == pytest.approx((1 - exact.high, 1 - exact.low))


def test_phrases_of_one_patient_are_drawn_together():
    """Ten equal phrases a patient say no more than one: the interval is that of the patients alone."""
    rng = np.random.default_rng(2)
    scores = rng.uniform(0, 1, 100)
    names = [f"p{i:03d}" for i in range(100)]
    alone = mean_interval(scores, names, seed=5)
    tenfold = mean_interval(np.repeat(scores, 10), np.repeat(names, 10).tolist(), seed=5)
    assert (tenfold.low, tenfold.high) == pytest.approx((alone.low, alone.high))


def test_interval_covers_the_truth_as_often_as_it_says():
    """Clustered data with unequal cluster sizes; a phrase-wise bootstrap would cover far less than 90 %."""
    rng = np.random.default_rng(6)
    trials, patients, hit = 200, 80, 0
    for trial in range(trials):
        sizes = rng.integers(1, 6, patients)
        level = rng.normal(0.5, 0.15, patients)
        scores = np.repeat(level, sizes) + rng.normal(0, 0.05, sizes.sum())
        names = np.repeat([f"p{i}" for i in range(patients)], sizes).tolist()
        found = mean_interval(scores, names, resamples=300, seed=trial)
        hit += found.low <= 0.5 <= found.high
    assert 0.89 <= hit / trials <= 0.995  # binomial(200, 0.95) leaves this range about once in 2,000 times


def test_paired_difference_of_a_constant_gain():
    rng = np.random.default_rng(7)
    scores = rng.uniform(0, 0.5, 50)
    names = [f"p{i // 2}" for i in range(50)]
    found = paired_difference(scores + 0.1, scores, names, resamples=500)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.p == pytest.approx(2 / 501)
    back = paired_difference(scores, scores + 0.1, names, resamples=500)
    assert back.value == pytest.approx(-0.1)
    same = paired_difference(scores, scores, names, resamples=500)
    assert (same.value, same.p) == (0.0, 1.0)


def test_p_value_is_small_as_often_as_it_should_be_without_a_difference():
    rng = np.random.default_rng(8)
    names = [f"p{i}" for i in range(60)]
    ps = [
        paired_difference(rng.normal(size=60), rng.normal(size=60), names, resamples=300, seed=t).p for t in range(200)
    ]
    assert 0.005 <= np.mean(np.array(ps) < 0.05) <= 0.11


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(9)
    first = rng.uniform(0, 1, 200)
    second = first - 0.05 + rng.normal(0, 0.01, 200)
    names = [f"p{i}" for i in range(200)]
    paired = paired_difference(first, second, names)
    alone = mean_interval(first, names)
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)
    assert paired.p < 0.01


def test_few_patients():
    assert mean_interval([], []) is None
    assert paired_difference([], [], []) is None
    one = mean_interval([0.2, 0.4], ["p", "p"])
    assert (one.value, one.low, one.high) == (pytest.approx(0.3), None, None)
    assert paired_difference([0.2], [0.1], ["p"]).p is None
    for patients in (2, 4, 5):
        found = paired_difference(np.arange(patients), np.zeros(patients), [f"p{i}" for i in range(patients)])
        assert [end is None for end in (found.low, found.high, found.p)] == [patients < MIN_PATIENTS] * 3
    with pytest.raises(ValueError, match="at least one cluster"):
        resample(np.zeros((0, 2)))


def test_the_seed_decides():
    scores, names = np.linspace(0, 1, 40), [f"p{i}" for i in range(40)]
    assert mean_interval(scores, names, seed=1) == mean_interval(scores, names, seed=1)
    assert mean_interval(scores, names, seed=1) != mean_interval(scores, names, seed=2)


def test_totals_by_cluster():
    totals = cluster_totals([[1, 10], [2, 20], [4, 40]], ["b", "a", "b"])
    assert totals.tolist() == [[2, 20], [5, 50]]
    assert resample(totals, resamples=50).sum(axis=0)[1] == 10 * resample(totals, resamples=50).sum(axis=0)[0]


def test_two_thousand_resamples_of_two_thousand_patients_are_fast():
    scores = np.random.default_rng(0).uniform(0, 1, 6000)
    names = [f"p{i // 3}" for i in range(6000)]
    start = time.process_time()
    mean_interval(scores, names)
    assert time.process_time() - start < 2.0
