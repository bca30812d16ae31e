"""Means over phrases and findings, and the numbers of other people's scripts."""

import numpy as np
import pytest
from evaluation_fakes import random_boxes
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.evaluation.metrics import (
    BoxSets,
    acc_at,
    auroc,
    cnr_per_box,
    count_weighted_mean,
    defined_mean,
    g2g_weighted_average,
    group_means,
    macro_mean,
    micro_mean,
    minigptv2_ious,
    phrase_ious,
    refcoco_strict_acc,
    region_of,
    umedground_first_box_ious,
    vilouras_auroc,
    vilouras_cnr,
    weighted_mean,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abc")), min_size=1, max_size=30))
def test_means_agree_with_each_other(rows):
    values, groups = [value for value, _ in rows], [group for _, group in rows]
    by_hand = {g: np.mean([v for v, name in rows if name == g]) for g in sorted(set(groups))}
    found = group_means(values, groups)
    assert dict(zip(found.names, found.means, strict=True)) == pytest.approx(by_hand)
    assert found.counts.tolist() == [groups.count(name) for name in found.names]
    assert macro_mean(values, groups) == pytest.approx(np.mean(list(by_hand.values())))
    assert micro_mean(values) == pytest.approx(np.mean(values))
    assert count_weighted_mean(found.means, found.counts) == pytest.approx(micro_mean(values))
    assert weighted_mean(found.means, found.counts, power=0) == pytest.approx(macro_mean(values, groups))


def test_means_of_nothing_and_of_junk():
    assert np.isnan(micro_mean([]))
    assert np.isnan(macro_mean([], []))
    assert group_means([], []).names == ()
    with pytest.raises(ValueError, match="NaN"):
        micro_mean([0.5, np.nan])
    with pytest.raises(ValueError, match="a group a value"):
        macro_mean([0.5], ["a", "b"])
    for counts in ([1], [0, 0], [1, -1], [1, np.nan]):
        with pytest.raises(ValueError, match="a count of 0 or more"):
            count_weighted_mean([0.5, 0.5], counts)


def test_undefined_values_are_counted():
    found = defined_mean([0.5, np.nan, 1.0])
    assert (found.value, found.n, found.undefined) == (0.75, 2, 1)
    assert defined_mean([0.5, np.inf]).value == np.inf
    assert np.isnan(defined_mean([np.nan]).value)
    assert np.isnan(defined_mean([]).value)


def test_squared_counts_let_one_class_decide():
    assert count_weighted_mean([1, 0, 0], [60, 30, 10]) == pytest.approx(0.6)
    assert g2g_weighted_average([1, 0, 0], [60, 30, 10]) == pytest.approx(36 / 46)
    assert g2g_weighted_average([0.2, 0.8], [1, 3]) == pytest.approx((0.2 + 9 * 0.8) / 10)


def test_squared_counts_come_from_weighting_rows_by_their_class_count():
    """The script's own way: every row of a class carries the class's count."""
    rng = np.random.default_rng(0)
    groups = rng.choice(["a", "b", "c"], 60, p=[0.6, 0.3, 0.1])
    values = rng.uniform(size=60)
    sizes = np.array([(groups == g).sum() for g in groups])
    found = group_means(values, groups.tolist())
    assert g2g_weighted_average(found.means, found.counts) == pytest.approx(np.average(values, weights=sizes))


def test_the_first_box_alone():
    square, far = [0, 0, 10, 10], [50, 50, 60, 60]
    sets = BoxSets.of([[square, far], [far, square], []]), BoxSets.of([[square], [square], [square]])
    assert umedground_first_box_ious(*sets) == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert phrase_ious(*sets).tolist() == [0.5, 0.5, 0]  # surplus boxes cost, order does not, misses score
    single = BoxSets.single([square]), BoxSets.single([[0, 0, 10, 5]])
    assert umedground_first_box_ious(*single) == pytest.approx(phrase_ious(*single))
    with pytest.raises(ValueError, match="reference box"):
        umedground_first_box_ious(sets[1], sets[0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_added_pixel_is_an_iou_of_whole_pixels_with_both_edges(seed):
    """MiniGPT-v2 reads [0, 0, 9, 9] as 10 x 10 pixels: the IoU of boxes with exclusive edges one further."""
    rng = np.random.default_rng(seed)
    first, second = random_boxes(rng, 20), random_boxes(rng, 20)
    wider = [boxes + np.array([0, 0, 1, 1]) for boxes in (first, second)]
    expected = phrase_ious(BoxSets.single(wider[0]), BoxSets.single(wider[1]))
    assert minigptv2_ious(first, second) == pytest.approx(expected)
    assert minigptv2_ious([[0, 0, 9, 9]], [[0, 0, 9, 4]]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="as many boxes"):
        minigptv2_ious(first, second[:3])


def test_strict_accuracy_loses_the_threshold_itself():
    assert acc_at([0.5, 0.6], 0.5) == 1
    assert refcoco_strict_acc([0.5, 0.6]) == 0.5
    assert np.isnan(refcoco_strict_acc([]))


def test_vilouras_cnr_depends_on_the_order_of_the_boxes():
    values = np.random.default_rng(0).uniform(size=(8, 10))
    one, two = [0, 0, 4, 4], [2, 2, 8, 8]
    assert vilouras_cnr(values, [one], signed=True) == pytest.approx(cnr_per_box(values, [one]))
    assert vilouras_cnr(values, [one]) == pytest.approx(abs(cnr_per_box(values, [one])))
    assert vilouras_cnr(values, [one, two], signed=True) != pytest.approx(vilouras_cnr(values, [two, one], signed=True))
    inside, rest = values[:4, :4], values.copy()  # the second box, once the first is cut out
    rest[:4, :4] = np.nan
    second = rest[2:8, 2:8][~np.isnan(rest[2:8, 2:8])]
    rest[2:8, 2:8] = np.nan
    out, without_one = rest[~np.isnan(rest)], np.delete(values.ravel(), np.flatnonzero(region_of([one], (10, 8))))
    ratios = [(a.mean() - b.mean()) / np.sqrt(a.var() + b.var()) for a, b in ((inside, without_one), (second, out))]
    assert vilouras_cnr(values, [one, two], signed=True) == pytest.approx(np.mean(ratios))
    assert vilouras_cnr(np.zeros((8, 10)), [one]) == 0
    assert np.isnan(vilouras_cnr(values, []))


@pytest.mark.parametrize(
    ("values", "truth", "expected"),
    [([0.1, 0.5, 0.7, 0.8], [1, 0, 1, 1], 0.5), ([1, 1, 1, 0], [1, 0, 1, 0], 0.75), ([0.2, 0.9], [1, 1], 0.5)],
)
def test_vilouras_auroc_gives_the_values_of_torchevals_documentation(values, truth, expected):
    assert vilouras_auroc([values], np.array([truth], dtype=bool)) == pytest.approx(expected)


def test_five_thresholds_see_nothing_of_a_faint_map():
    region = region_of([[0, 0, 4, 4]], (10, 8))
    faint = np.where(region, 0.2, 0.1)
    assert auroc(faint, region) == 1
    assert vilouras_auroc(faint, region) == 0.5
