"""Frames: every way out of the stored image and back, for any size."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from knowmvg.core import boxes as bx
from knowmvg.core.frames import Frame

sides = st.integers(1, 5000)
sizes = st.tuples(sides, sides)
canvases = st.tuples(st.integers(1, 1024), st.integers(1, 1024))
grids = st.tuples(st.integers(1, 64), st.integers(1, 64))
aspects = st.floats(0.2, 5)


@st.composite
def frames(draw, sizes=sizes, canvases=canvases):
    stored, canvas = draw(sizes), draw(canvases)
    if draw(st.booleans()):
        return Frame.squash(stored, canvas)
    return Frame.letterbox(stored, canvas, draw(aspects))


@st.composite
def boxes_in(draw, size, count=4):
    unit = st.floats(0, 1)
    rows = draw(st.lists(st.tuples(unit, unit, unit, unit), max_size=count))
    return np.array(
        [[min(a, c) * size[0], min(b, d) * size[1], max(a, c) * size[0], max(b, d) * size[1]] for a, b, c, d in rows]
    ).reshape(-1, 4)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, atol=1e-6, rtol=1e-9)
    assert actual.shape == expected.shape


@given(st.data(), frames(), grids)
def test_every_way_out_leads_back(data, frame, grid):
    boxes = data.draw(boxes_in(frame.stored))
    for clip in (True, False):
        close(frame.to_stored(frame.to_canvas(boxes), clip=clip), boxes)
        close(frame.from_unit(frame.to_unit(boxes), clip=clip), boxes)
        close(frame.from_grid(frame.to_grid(boxes, grid), grid, clip=clip), boxes)


@given(st.data(), frames(), grids)
def test_units_and_cells_cover_the_canvas(data, frame, grid):
    boxes = data.draw(boxes_in(frame.stored))
    canvas, unit, cells = frame.to_canvas(boxes), frame.to_unit(boxes), frame.to_grid(boxes, grid)
    close(unit * [*frame.canvas, *frame.canvas], canvas)
    close(cells / [*grid, *grid], unit)
    assert (unit >= -1e-9).all()
    assert (unit <= 1 + 1e-9).all()


@given(st.data(), frames())
def test_a_batch_is_its_boxes_one_by_one(data, frame):
    boxes = data.draw(boxes_in(frame.stored))
    single = [frame.to_canvas(box)[0] for box in boxes]
    np.testing.assert_array_equal(frame.to_canvas(boxes), np.array(single).reshape(-1, 4))


@given(frames(), grids)
def test_no_boxes_stay_no_boxes(frame, grid):
    for found in (frame.to_canvas([]), frame.to_stored([]), frame.to_unit([]), frame.from_unit([])):
        assert found.shape == (0, 4)
    assert frame.from_grid(frame.to_grid([], grid), grid).shape == (0, 4)


@given(sizes, canvases, aspects)
def test_letterbox_is_undistorted_centred_and_as_large_as_fits(stored, canvas, aspect):
    frame = Frame.letterbox(stored, canvas, aspect)
    assert frame.scale[1] / frame.scale[0] == pytest.approx(aspect)
    ((x1, y1, x2, y2),) = frame.to_canvas([0, 0, *stored])
    assert x1 == pytest.approx(canvas[0] - x2, abs=1e-6)
    assert y1 == pytest.approx(canvas[1] - y2, abs=1e-6)
    fill = ((x2 - x1) / canvas[0], (y2 - y1) / canvas[1])
    assert max(fill) == pytest.approx(1)
    assert min(x1, y1) > -1e-6


@given(sizes, canvases)
def test_squash_covers_the_canvas(stored, canvas):
    frame = Frame.squash(stored, canvas)
    np.testing.assert_allclose(frame.to_canvas([0, 0, *stored]), [[0, 0, *canvas]], rtol=1e-12)


@given(frames())
def test_boxes_from_the_padding_are_cut_to_the_image(frame):
    back = frame.to_stored([-1e4, -1e4, 1e4 + frame.canvas[0], 1e4 + frame.canvas[1]])
    np.testing.assert_allclose(back, [[0, 0, *frame.stored]])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Frame.letterbox((0, 5), (8, 8)),
        lambda: Frame.letterbox((5, 5), (8, 0)),
        lambda: Frame.letterbox((5, 5), (8, 8), 0.0),
        lambda: Frame.letterbox((5, 5), (8, 8), float("nan")),
        lambda: Frame.squash((5, -1), (8, 8)),
        lambda: Frame((5, 5), (8, 8), (0.0, 1.0), (0.0, 0.0)),
        lambda: Frame((5, 5), (8, 8), (1.0, float("inf")), (0.0, 0.0)),
        lambda: Frame((5, 5), (8, 8), (1.0, 1.0), (float("nan"), 0.0)),
        lambda: Frame.squash((5, 5), (8, 8)).to_grid([], (0, 3)),
        lambda: Frame.squash((5, 5), (8, 8)).render(np.zeros((5, 5, 3))),
        lambda: Frame.squash((5, 4), (8, 8)).render(np.zeros((5, 4))),
        lambda: Frame.squash((5, 5), (8, 8)).render_back(np.zeros((2, 5, 5))),
    ],
)
def test_impossible_frames_and_images_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()


pictures = st.tuples(st.integers(1, 220), st.integers(1, 220))


def extent(drawn, level=0.5):
    """The tight box of what is at least half bright."""
    return bx.of_mask(drawn >= level)


def rectangle(data, size, side):
    """A random whole-pixel box with sides of at least 2 and ``side`` (or the whole image), and an image of it."""
    edges = []
    for length in size:
        span = min(length, max(2, int(np.ceil(side[len(edges)]))))
        width = data.draw(st.integers(span, length))
        start = data.draw(st.integers(0, length - width))
        edges.append((start, start + width))
    (x1, x2), (y1, y2) = edges
    image = np.zeros((size[1], size[0]), dtype=np.float32)
    image[y1:y2, x1:x2] = 1
    return np.array([[x1, y1, x2, y2]], dtype=np.float64), image


@settings(deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data(), frames(pictures, pictures))
def test_render_draws_where_to_canvas_says(data, frame):
    box, image = rectangle(data, frame.stored, [3 / s for s in frame.scale])
    drawn = frame.render(image)
    assert drawn.shape == (frame.canvas[1], frame.canvas[0])
    assert drawn.dtype == np.float32
    expected = frame.to_canvas(box)
    assume((expected[0, 2:] - expected[0, :2]).min() >= 3)  # else the whole image is a sliver
    assume((box[0, 2:] - box[0, :2]).min() >= 2)  # bilinear growth: a thinner line never reaches its full brightness
    found = extent(drawn)
    assert found.shape == (1, 4)
    np.testing.assert_allclose(found, expected, atol=1.0)


@settings(deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data(), frames(pictures, pictures), st.tuples(st.integers(1, 100), st.integers(1, 100)))
def test_render_back_draws_where_from_grid_says(data, frame, grid):
    cell = [frame.canvas[0] / grid[0] / frame.scale[0], frame.canvas[1] / grid[1] / frame.scale[1]]
    box, image = rectangle(data, grid, [3 / c for c in cell])
    expected = frame.from_grid(box, grid)
    drawn = frame.render_back(image)
    assert drawn.shape == (frame.stored[1], frame.stored[0])
    shown = expected[0, 2:] - expected[0, :2]
    assume(shown.min() >= 3)
    assume((shown >= 2 * np.array(cell)).all())  # of the part that the stored image shows, as above
    found = extent(drawn)
    assert found.shape == (1, 4)
    np.testing.assert_allclose(found, expected, atol=1.0)


@settings(deadline=None, max_examples=100)
@given(frames(pictures, pictures), st.floats(0, 1), st.floats(0, 1))
def test_a_flat_image_stays_flat_and_padding_is_filled(frame, level, fill):
    drawn = frame.render(np.full(frame.stored[::-1], level, np.float32), fill=fill)
    ((x1, y1, x2, y2),) = np.round(frame.to_canvas([0, 0, *frame.stored])).astype(int)
    inside = drawn[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1]
    np.testing.assert_allclose(inside, level, atol=1e-5)
    outside = np.ones(drawn.shape, dtype=bool)
    outside[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = False
    np.testing.assert_allclose(drawn[outside], fill, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(pictures)
@example((1, 1))
def test_an_identity_frame_changes_no_pixel(size):
    image = np.random.default_rng(0).random(size[::-1]).astype(np.float32)
    frame = Frame.squash(size, size)
    np.testing.assert_allclose(frame.render(image), image, atol=1e-6)
    np.testing.assert_allclose(frame.render_back(image), image, atol=1e-6)


def test_shrinking_averages_and_does_not_alias():
    stripes = np.tile(np.array([0, 1], np.float32), (256, 128))
    drawn = Frame.squash((256, 256), (32, 32)).render(stripes)
    np.testing.assert_allclose(drawn, 0.5, atol=0.02)


def test_a_frame_on_another_resolution_keeps_the_picture():
    frame = Frame.letterbox((90, 70), (256, 256), 1.2)
    boxes = [[3.0, 4.0, 50.0, 60.0]]
    for side in (64, 512):
        np.testing.assert_allclose(frame.on((side, side)).to_unit(boxes), frame.to_unit(boxes))
