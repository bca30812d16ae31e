"""Box arithmetic against formulas written another way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from knowmvg.core import boxes as bx

coordinates = st.integers(-50, 50).map(lambda v: v / 4)


@st.composite
def box_arrays(draw, rows=None, swapped=False):
    count = draw(st.integers(0, 6)) if rows is None else rows
    raw = draw(arrays(np.float64, (count, 4), elements=coordinates))
    if swapped:
        return raw
    return np.concatenate([np.minimum(raw[:, :2], raw[:, 2:]), np.maximum(raw[:, :2], raw[:, 2:])], axis=1)


pairs = st.integers(0, 6).flatmap(lambda n: st.tuples(box_arrays(rows=n), box_arrays(rows=n)))


def cells(box):
    """The quarter-pixel cells that a box covers, as a set: areas by counting."""
    x1, y1, x2, y2 = (int(v * 4) for v in box)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


def giou_by_counting(a, b):
    first, second = cells(a), cells(b)
    union = len(first | second)
    hull = len(cells([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]))
    overlap = len(first & second) / union if union else 0.0
    return overlap - ((hull - union) / hull if hull else 0.0)


@given(st.tuples(box_arrays(rows=1), box_arrays(rows=1)))
def test_iou_and_giou_by_counting_cells(pair):
    a, b = pair
    first, second = cells(a[0]), cells(b[0])
    union = len(first | second)
    assert bx.area(a)[0] == pytest.approx(len(first) / 16)
    assert bx.iou(a, b)[0] == pytest.approx(len(first & second) / union if union else 0)
    assert bx.giou(a, b)[0] == pytest.approx(giou_by_counting(a[0], b[0]))


@given(pairs)
def test_bounds_symmetry_and_identity(pair):
    a, b = pair
    iou, giou = bx.iou(a, b), bx.giou(a, b)
    assert iou.shape == giou.shape == (len(a),)
    assert ((iou >= 0) & (iou <= 1)).all()
    assert ((giou >= -1) & (giou <= iou + 1e-12)).all()
    np.testing.assert_array_equal(iou, bx.iou(b, a))
    np.testing.assert_allclose(giou, bx.giou(b, a), atol=1e-12)
    solid = bx.area(a) > 0
    np.testing.assert_allclose(bx.iou(a, a)[solid], 1)
    np.testing.assert_allclose(bx.giou(a, a)[solid], 1)


@given(pairs)
def test_a_batch_is_its_boxes_one_by_one(pair):
    a, b = pair
    for measure in (bx.iou, bx.giou):
        single = [measure(x, y)[0] for x, y in zip(a, b, strict=True)]
        np.testing.assert_array_equal(measure(a, b), single)
    np.testing.assert_array_equal(np.diag(bx.pairwise_iou(a, b)) if len(a) else [], bx.iou(a, b))


@given(box_arrays(), box_arrays())
def test_pairwise_is_every_pair(a, b):
    table = bx.pairwise_iou(a, b)
    assert table.shape == (len(a), len(b))
    for row, column in np.ndindex(table.shape):
        assert table[row, column] == bx.iou(a[row], b[column])[0]


@given(box_arrays())
def test_formats_lead_back(boxes):
    np.testing.assert_allclose(bx.xywh_to_xyxy(bx.xyxy_to_xywh(boxes)), boxes, atol=1e-9)
    np.testing.assert_allclose(bx.cxcywh_to_xyxy(bx.xyxy_to_cxcywh(boxes)), boxes, atol=1e-9)
    np.testing.assert_allclose(bx.xyxy_to_xywh(boxes)[:, 2:].prod(axis=1), bx.area(boxes), atol=1e-9)


def test_formats_on_a_known_box():
    assert bx.xyxy_to_xywh([10, 20, 40, 60]).tolist() == [[10, 20, 30, 40]]
    assert bx.xyxy_to_cxcywh([10, 20, 40, 60]).tolist() == [[25, 40, 30, 40]]


@given(box_arrays(swapped=True))
def test_swapped_corners_have_no_area(boxes):
    swapped = (boxes[:, 0] > boxes[:, 2]) | (boxes[:, 1] > boxes[:, 3])
    assert (bx.area(boxes)[swapped] == 0).all()
    assert (bx.iou(boxes, boxes)[swapped] == 0).all()
    assert np.isfinite(bx.giou(boxes, boxes)).all()


@given(box_arrays(), st.integers(1, 10), st.integers(1, 10))
def test_clip_keeps_boxes_inside_and_leaves_inner_ones_alone(boxes, width, height):
    cut = bx.clip(boxes, (width, height))
    assert (cut >= 0).all()
    assert (cut <= [width, height, width, height]).all()
    np.testing.assert_array_equal(bx.clip(cut, (width, height)), cut)


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_the_box_of_a_mask_is_tight(mask):
    box = bx.of_mask(mask)
    if not mask.any():
        assert box.shape == (0, 4)
        return
    x1, y1, x2, y2 = box[0].astype(int)
    assert mask[y1:y2, x1:x2].sum() == mask.sum()
    for edge in (mask[y1, x1:x2], mask[y2 - 1, x1:x2], mask[y1:y2, x1], mask[y1:y2, x2 - 1]):
        assert edge.any()


def test_no_boxes():
    for call in (bx.area, bx.xywh_to_xyxy, bx.xyxy_to_cxcywh):
        assert len(call([])) == 0
    assert bx.as_boxes([]).shape == bx.as_boxes(np.zeros((0, 4))).shape == (0, 4)
    assert bx.pairwise_iou([], [1, 2, 3, 4]).shape == (0, 1)
    assert bx.iou([], []).shape == bx.giou([], []).shape == (0,)


@pytest.mark.parametrize(
    "boxes", [[1, 2, 3], [[1, 2, 3, 4, 5]], 7.0, [1, 2, 3, float("nan")], [1, 2, 3, float("inf")], np.zeros((2, 5))]
)
def test_what_is_no_box_is_refused(boxes):
    with pytest.raises(ValueError, match="expected"):
        bx.as_boxes(boxes)


def test_lists_of_unlike_length_are_refused_one_by_one():
    for measure in (bx.iou, bx.giou):
        with pytest.raises(ValueError, match="expected"):
            measure([[0, 0, 1, 1]], [[0, 0, 1, 1], [0, 0, 2, 2]])
