"""acc@t and F1@t against closed forms and another matching; COCO AP against pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from evaluation_fakes import random_boxes
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from knowmvg.core.boxes import pairwise_iou
from knowmvg.evaluation.metrics import (
    PAPER_NAMES,
    BoxSets,
    acc_at,
    all_found_at,
    canonical_name,
    coco_ap,
    f1_at,
    f1_pooled_at,
    f1s_at,
    found_boxes,
    hits_at,
    miou_box,
    phrase_ious,
)

NONE = np.zeros((0, 4))
SQUARE = [0, 0, 10, 10]


def test_accuracy_counts_the_threshold_itself():
    ious = [0.0, 0.1, 0.3, 0.5, 1.0]
    assert [acc_at(ious, t) for t in (0.1, 0.3, 0.5, 1.0)] == [0.8, 0.6, 0.4, 0.2]
    assert hits_at(ious, 0.5).tolist() == [False, False, False, True, True]
    assert miou_box(ious) == pytest.approx(0.38)
    assert np.isnan(acc_at([], 0.5))
    assert np.isnan(miou_box([]))


@pytest.mark.parametrize("bad", [[np.nan], [-0.1], [1.1]])
def test_values_that_are_no_iou_are_refused(bad):
    with pytest.raises(ValueError, match="IoU in"):
        acc_at(bad, 0.5)
    with pytest.raises(ValueError, match="IoU in"):
        miou_box(bad)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
def test_thresholds_that_mean_nothing_are_refused(threshold):
    with pytest.raises(ValueError, match="threshold"):
        acc_at([0.5], threshold)
    with pytest.raises(ValueError, match="threshold"):
        f1_at([SQUARE], [SQUARE], threshold)


def test_the_papers_ap50_is_an_accuracy():
    assert [canonical_name(name) for name in ("AP10", "AP30", "AP50")] == ["acc@0.1", "acc@0.3", "acc@0.5"]
    assert canonical_name("coco_ap50") == "coco_ap50"
    assert set(PAPER_NAMES.values()) == {"acc@0.1", "acc@0.3", "acc@0.5"}


def test_f1_by_hand():
    far = [50, 50, 60, 60]
    assert f1_at([SQUARE], [SQUARE], 0.5) == 1
    assert f1_at([SQUARE, far], [SQUARE], 0.5) == pytest.approx(2 / 3)
    assert f1_at([SQUARE, SQUARE], [SQUARE], 0.5) == pytest.approx(2 / 3)  # found once
    assert f1_at([], [SQUARE], 0.5) == 0
    assert f1_at([SQUARE], [], 0.5) == 0
    assert f1_at([], [], 0.5) == 1  # nothing to find and nothing named
    assert f1_at([[0, 0, 10, 5]], [SQUARE], 0.5) == 1
    sets = BoxSets.of([[SQUARE, far], NONE, [far]]), BoxSets.of([[SQUARE], NONE, [SQUARE]])
    assert f1s_at(*sets, 0.5) == pytest.approx([2 / 3, 1, 0])
    assert f1_pooled_at(*sets, 0.5) == pytest.approx(2 / 5)
    assert all_found_at(*sets, 0.5) == pytest.approx(1 / 3)
    assert np.isnan(f1_pooled_at(BoxSets.of([NONE]), BoxSets.of([NONE]), 0.5))
    assert np.isnan(all_found_at(BoxSets.of([]), BoxSets.of([]), 0.5))


def test_the_pairs_of_greatest_iou_are_not_those_of_most_hits():
    """One prediction overlaps both references: by IoU it takes the one that fits better, and a hit is lost."""
    reference, predicted = [[0, 0, 10, 10], [0, 0, 10, 20]], [[0, 0, 10, 10], [0, 0, 10, 5]]
    overlaps = pairwise_iou(predicted, reference)
    assert overlaps.tolist() == [[1, 0.5], [0.5, 0.25]]
    by_iou = overlaps[linear_sum_assignment(overlaps, maximize=True)]
    assert (by_iou >= 0.5).sum() == 1
    assert f1_at(predicted, reference, 0.5) == 1
    assert f1_at(predicted, reference, 0.6) == 0.5


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.2, 0.5]))
def test_found_boxes_are_a_maximum_matching(seed, threshold):
    rng = np.random.default_rng(seed)
    predicted = [random_boxes(rng, k, (60, 60)) for k in rng.integers(0, 7, 15)]
    reference = [random_boxes(rng, k, (60, 60)) for k in rng.integers(0, 7, 15)]
    expected = [
        (maximum_bipartite_matching(csr_matrix(pairwise_iou(p, r) >= threshold)) >= 0).sum() if len(p) * len(r) else 0
        for p, r in zip(predicted, reference, strict=True)
    ]
    assert found_boxes(BoxSets.of(predicted), BoxSets.of(reference), threshold).tolist() == expected


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_f1_falls_as_the_threshold_rises_and_is_the_accuracy_of_single_boxes(seed):
    rng = np.random.default_rng(seed)
    reference = random_boxes(rng, 20)
    sets = BoxSets.single(reference * rng.uniform(0.7, 1, (20, 1))), BoxSets.single(reference)
    scores = [f1s_at(*sets, t).mean() for t in (0.1, 0.3, 0.5, 0.9)]
    assert scores == sorted(scores, reverse=True)
    assert scores == [acc_at(phrase_ious(*sets), t) for t in (0.1, 0.3, 0.5, 0.9)]


def by_pycocotools(predicted, scores, reference, images, classes):
    """The same figures from the reference implementation, from rows written here."""

    def rows(sets, extra):
        found, number = [], 0
        for image, kind, boxes in zip(images, classes, sets, strict=True):
            for x1, y1, x2, y2 in boxes:
                box = [x1, y1, x2 - x1, y2 - y1]
                row = {"image_id": image, "category_id": kind, "bbox": box, "area": box[2] * box[3]}
                found.append({**row, "id": number + 1, "iscrowd": 0, **extra(number)})
                number += 1
        return found

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i} for i in sorted(set(images))],
            "categories": [{"id": k} for k in sorted(set(classes))],
            "annotations": rows(reference, lambda _: {}),
        }
        truth.createIndex()
        answers = truth.loadRes(rows(predicted, lambda i: {"score": scores[i]}))
        found = COCOeval(truth, answers, "bbox")
        found.evaluate()
        found.accumulate()
        found.summarize()
    return [*found.stats[:3], *found.stats[6:9]]


def detections(seed, n=25, most=4, ties=False):
    """Near and far boxes, missed and surplus ones, of ``n`` phrases, and a score each."""
    rng = np.random.default_rng(seed)
    reference = [random_boxes(rng, int(rng.integers(0, most + 1))) for _ in range(n)]
    predicted = [
        np.concatenate([boxes * rng.uniform(0.8, 1.1, (len(boxes), 1)), random_boxes(rng, 1 + int(rng.integers(0, 2)))])
        for boxes in reference
    ]
    total = sum(map(len, predicted))
    scores = rng.integers(0, 4, total) / 4 if ties else rng.uniform(0, 1, total)
    return predicted, scores, reference


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.booleans())
def test_coco_ap_equals_pycocotools(seed, ties, by_class, by_image):
    predicted, scores, reference = detections(seed, ties=ties)
    n = len(reference)
    images = [1 + i // 3 for i in range(n)] if by_image else list(range(1, n + 1))
    classes = [1 + i % 4 for i in range(n)] if by_class else [1] * n
    found = coco_ap(
        BoxSets.of(predicted),
        scores,
        BoxSets.of(reference),
        images=[f"{i:03}" for i in images] if by_image else None,
        classes=[f"f{k}" for k in classes] if by_class else None,
    )
    expected = by_pycocotools(predicted, scores, reference, images, classes)
    assert list(found) == pytest.approx(expected, abs=1e-6)
    assert 0 < found.ap < 1


def test_coco_ap_equals_pycocotools_beyond_a_hundred_boxes_an_image():
    rng = np.random.default_rng(0)
    reference, predicted = [random_boxes(rng, 30)], [random_boxes(rng, 150)]
    predicted[0][:30] = reference[0] * 0.95
    scores = rng.uniform(0, 1, 150)
    found = coco_ap(BoxSets.of(predicted), scores, BoxSets.of(reference))
    assert list(found) == pytest.approx(by_pycocotools(predicted, scores, reference, [1], [1]), abs=1e-6)


def test_coco_ap_is_not_the_papers_ap50():
    """Half of the boxes are right: the accuracy is one half whatever the scores, the precision is not."""
    reference = BoxSets.single([SQUARE] * 10)
    predicted = BoxSets.single([SQUARE] * 5 + [[50, 50, 60, 60]] * 5)
    assert acc_at(phrase_ious(predicted, reference), 0.5) == 0.5
    knowing, wrong = np.linspace(1, 0, 10), np.linspace(0, 1, 10)
    assert coco_ap(predicted, knowing, reference).ap50 == pytest.approx(51 / 101)  # recall steps 0 to 0.5, precise
    assert coco_ap(predicted, wrong, reference).ap50 == pytest.approx(51 / 101 * 0.5)


def test_coco_ap_at_the_edges():
    boxes = BoxSets.single([SQUARE] * 3)
    none = BoxSets.of([NONE] * 3)
    assert list(coco_ap(boxes, [0.5] * 3, boxes)) == pytest.approx([1] * 6)
    assert list(coco_ap(none, [], boxes)) == [0] * 6
    assert np.isnan(coco_ap(boxes, [0.5] * 3, none)).all()
    assert np.isnan(coco_ap(BoxSets.of([]), [], BoxSets.of([]))).all()
    unasked = coco_ap(boxes, [0.5] * 3, BoxSets.of([[SQUARE], [SQUARE], NONE]), classes=["a", "a", "b"])
    assert unasked.ap == 1  # a class without a reference box has no AP: false boxes are a metric of their own


def test_coco_ap_refuses_what_does_not_fit():
    boxes = BoxSets.single([SQUARE] * 2)
    with pytest.raises(ValueError, match="finite score a box"):
        coco_ap(boxes, [0.5], boxes)
    with pytest.raises(ValueError, match="finite score a box"):
        coco_ap(boxes, [0.5, np.nan], boxes)
    with pytest.raises(ValueError, match="as many phrases"):
        coco_ap(boxes, [0.5, 0.5], BoxSets.single([SQUARE]))
    with pytest.raises(ValueError, match="a name for each"):
        coco_ap(boxes, [0.5, 0.5], boxes, classes=["a"])
