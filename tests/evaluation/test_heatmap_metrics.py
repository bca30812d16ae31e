"""Heat-map and mask metrics against scikit-learn, other people's rules rewritten here, and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, jaccard_score, roc_auc_score

from knowmvg.core.boxes import of_mask
from knowmvg.evaluation.metrics import (
    HEATMAP_METRICS,
    area_under_roc,
    auprc,
    auroc,
    average_precision,
    cnr,
    cnr_abs,
    cnr_per_box,
    energy_pointing,
    heatmap_scores,
    lowest_where_unseen,
    mask_dice,
    mask_iou,
    miou_2cls,
    miou_thr,
    pointing,
    region_of,
    seen_share,
)

BOX = [[2, 1, 6, 4]]  # 12 of the 80 pixels of a 10 x 8 image
SIZE = (10, 8)
REGION = region_of(BOX, SIZE)
EVERY_METRIC = (cnr, cnr_abs, pointing, energy_pointing, auroc, auprc, miou_thr)


def heatmap(seed, *, levels=None, unseen=0.0):
    """A map of ``SIZE`` in [0, 1], of few values where ``levels`` is given, with a share of unseen pixels."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 1, REGION.shape) if levels is None else rng.integers(0, levels, REGION.shape) / levels
    return np.where(rng.uniform(size=REGION.shape) < unseen, np.nan, values)


def test_a_region_holds_the_pixels_whose_centres_the_boxes_hold():
    assert REGION.sum() == 12
    assert REGION[1:4, 2:6].all()
    assert region_of([[0.5, 0, 1.5, 1]], SIZE)[0].nonzero()[0].tolist() == [0]
    assert region_of([[0.51, 0, 1.51, 1]], SIZE)[0].nonzero()[0].tolist() == [1]
    assert not region_of([[3.6, 3.6, 4.4, 4.4]], SIZE).any()  # between two centres
    assert region_of([[-5, -5, 50, 50]], SIZE).all()
    assert not region_of([], SIZE).any()
    assert region_of([[0, 0, 2, 2], [1, 1, 3, 3]], SIZE).sum() == 7


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 8), st.integers(0, 6), st.integers(1, 5), st.integers(1, 5))
def test_a_region_of_whole_pixels_has_its_box(x, y, width, height):
    box = np.array([[x, y, min(10, x + width), min(8, y + height)]], dtype=float)
    assert of_mask(region_of(box, SIZE)).tolist() == box.tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([None, 3]), st.sampled_from([0.0, 0.4]))
def test_ranking_equals_scikit_learn(seed, levels, unseen):
    values = heatmap(seed, levels=levels, unseen=unseen)
    known = ~np.isnan(values)
    truth, scores = REGION[known], values[known]
    assert auroc(values, REGION) == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)
    assert auprc(values, REGION) == pytest.approx(average_precision_score(truth, scores), abs=1e-9)


def test_ranking_equals_scikit_learn_on_a_radiograph_s_number_of_pixels():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=400_000) < 0.1
    scores = rng.normal(size=truth.size).astype(np.float32) + truth
    assert area_under_roc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)
    assert average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3]))
def test_miou_thr_equals_scikit_learn(seed, unseen):
    values = heatmap(seed, unseen=unseen)
    known = ~np.isnan(values)
    expected = [jaccard_score(REGION[known], values[known] > t) for t in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert miou_thr(values, REGION) == pytest.approx(np.mean(expected))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_mask_metrics_equal_scikit_learn(seed):
    mask = heatmap(seed) > 0.5
    iou = jaccard_score(REGION.ravel(), mask.ravel())
    assert mask_iou(mask, REGION) == pytest.approx(iou)
    assert mask_dice(mask, REGION) == pytest.approx(2 * iou / (1 + iou))
    assert miou_2cls(mask, REGION) == pytest.approx(jaccard_score(REGION.ravel(), mask.ravel(), average="macro"))


def test_the_two_class_miou_of_nothing_is_high():
    """Why it is never mixed with ``miou_thr``: an empty mask has more than 0.4."""
    nothing = np.zeros_like(REGION)
    assert miou_2cls(nothing, REGION) == pytest.approx((80 - 12) / 80 / 2)
    assert mask_iou(nothing, REGION) == miou_thr(nothing.astype(float), REGION) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_cnr_is_its_formula(seed):
    values = heatmap(seed)
    inside, outside = values[REGION], values[~REGION]
    expected = (inside.mean() - outside.mean()) / np.sqrt(inside.var() + outside.var())
    assert cnr(values, REGION) == pytest.approx(expected)
    assert cnr(-values, REGION) == pytest.approx(-expected)
    assert cnr_abs(values, REGION) == cnr_abs(-values, REGION) == pytest.approx(abs(expected))
    assert cnr(3 * values + 1, REGION) == pytest.approx(expected)  # the scale of a map has no meaning
    assert cnr_per_box(values, BOX) == pytest.approx(expected)  # one box


def test_cnr_per_box_takes_each_box_against_what_lies_outside_all():
    boxes = [[0, 0, 4, 4], [6, 4, 10, 8]]
    values = heatmap(1)
    outside = values[~region_of(boxes, SIZE)]
    ratios = []
    for x1, y1, x2, y2 in boxes:
        inside = values[y1:y2, x1:x2]
        ratios.append((inside.mean() - outside.mean()) / np.sqrt(inside.var() + outside.var()))
    assert cnr_per_box(values, boxes) == pytest.approx(np.mean(ratios))
    assert cnr_per_box(values, boxes[::-1]) == pytest.approx(cnr_per_box(values, boxes))
    half = values.copy()
    half[4:, 6:] = np.nan
    assert cnr_per_box(half, boxes) == pytest.approx(ratios[0])  # the other box was not seen


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 2, 3, 5]))
def test_pointing_is_torchrays_rule(seed, tolerance):
    """TorchRay 0.1: a hit where a pixel of the mask is less than ``tolerance`` from the point."""
    values = heatmap(seed)
    row, column = np.unravel_index(values.argmax(), values.shape)
    distances = np.hypot(*(np.indices(REGION.shape) - np.array([row, column])[:, None, None]))
    expected = REGION[row, column] if tolerance == 0 else (distances[REGION] < tolerance).any()
    assert pointing(values, REGION, tolerance=tolerance) == expected


def test_equal_maxima_favour_no_corner():
    values = np.zeros(REGION.shape)
    values[2, 3] = values[7, 9] = values[0, 0] = 1
    assert pointing(values, REGION) == pytest.approx(1 / 3)
    assert pointing(values[::-1, ::-1], REGION[::-1, ::-1]) == pytest.approx(1 / 3)
    assert pointing(np.ones(REGION.shape), REGION) == pytest.approx(12 / 80)


def test_energy():
    assert energy_pointing(REGION.astype(float), REGION) == 1
    assert energy_pointing(np.ones(REGION.shape), REGION) == pytest.approx(12 / 80)
    assert energy_pointing(np.zeros(REGION.shape), REGION) == 0
    with pytest.raises(ValueError, match="0 or more"):
        energy_pointing(-np.ones(REGION.shape), REGION)


def test_constant_maps_say_nothing():
    for value in (0.0, 0.1, 1.0):
        flat = np.full(REGION.shape, value)
        assert cnr(flat, REGION) == cnr_abs(flat, REGION) == cnr_per_box(flat, BOX) == 0
        assert auroc(flat, REGION) == 0.5
        assert auprc(flat, REGION) == pytest.approx(12 / 80)


def test_a_perfect_binary_map():
    perfect = REGION.astype(float)
    assert (cnr(perfect, REGION), cnr(1 - perfect, REGION)) == (np.inf, -np.inf)
    assert auroc(perfect, REGION) == auprc(perfect, REGION) == miou_thr(perfect, REGION) == 1
    assert auroc(1 - perfect, REGION) == 0


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_unseen_pixels_are_left_out_of_map_and_region(metric):
    """Cutting the unseen columns off both gives the same number; the maximum stays in the seen part."""
    values = heatmap(5)
    cut = values.copy()
    cut[:, 5:] = np.nan
    assert metric(cut, REGION) == pytest.approx(metric(values[:, :5], REGION[:, :5]))


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_regions_that_cannot_be_scored_are_undefined(metric):
    values = heatmap(2)
    assert np.isnan(metric(values, np.zeros_like(REGION)))
    if metric not in (pointing, energy_pointing, miou_thr):
        assert np.isnan(metric(values, np.ones_like(REGION)))
    if metric is not pointing:  # a maximum elsewhere is a miss, wherever the region lies
        assert np.isnan(metric(np.where(REGION, np.nan, values), REGION))
    assert np.isnan(metric(np.full(REGION.shape, np.nan), REGION))


def test_a_maximum_beside_an_unseen_region_is_a_miss():
    assert pointing(np.where(REGION, np.nan, heatmap(2)), REGION) == 0


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_junk_is_refused(metric):
    values = heatmap(0)
    with pytest.raises(ValueError, match="bool region"):
        metric(values, REGION.astype(float))
    with pytest.raises(ValueError, match="bool region"):
        metric(values, REGION[:4])
    for bad in (values[None], np.zeros((0, 4)), np.where(REGION, np.inf, values)):
        with pytest.raises(ValueError, match="expected a map"):
            metric(bad, REGION)


def test_more_junk():
    with pytest.raises(ValueError, match="1 or less"):
        miou_thr(heatmap(0) * 255, REGION)
    with pytest.raises(ValueError, match="tolerance"):
        pointing(heatmap(0), REGION, tolerance=-1)
    with pytest.raises(ValueError, match="bool masks"):
        mask_iou(REGION.astype(int), REGION)
    with pytest.raises(ValueError, match="equally many"):
        area_under_roc([0.1, 0.2], [1, 0])
    with pytest.raises(ValueError, match="NaN"):
        average_precision([0.1, np.nan], np.array([True, False]))
    for mask_metric in (mask_iou, mask_dice, miou_2cls):
        assert np.isnan(mask_metric(REGION, np.zeros_like(REGION)))


def test_what_was_not_seen_can_be_counted_against_the_map():
    values = heatmap(4)
    values[REGION] = np.nan
    filled = lowest_where_unseen(values)
    assert not np.isnan(filled).any()
    assert (filled[REGION] == np.nanmin(values)).all()
    assert auroc(filled, REGION) < 0.02
    assert seen_share(values, REGION) == 0
    assert seen_share(filled, REGION) == 1
    assert np.isnan(seen_share(values, np.zeros_like(REGION)))
    assert not lowest_where_unseen(np.full((2, 2), np.nan)).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_all_metrics_of_a_phrase(seed):
    values = heatmap(seed)
    scores = heatmap_scores(values, BOX, SIZE)
    assert set(scores) == {*HEATMAP_METRICS, "map_valid", "seen_share"}
    assert scores["cnr"] == cnr(values, REGION)
    assert scores["pointing@15px"] == 1  # everything is near on so small an image
    assert (scores["map_valid"], scores["seen_share"]) == (1, 1)


@pytest.mark.parametrize("missing", [None, np.full(REGION.shape, np.nan)])
def test_a_missing_map_scores_0_and_is_counted(missing):
    assert set(heatmap_scores(missing, BOX, SIZE).values()) == {0.0}


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="bool region"):
        heatmap_scores(np.zeros((4, 4)), BOX, SIZE)
