"""Codecs: what is written is read back within half a bin, whatever the box and the image; nothing raises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.boxtext.codec import PFMVG, BoxCodec, Style
from knowmvg.core.boxtext.grid import Grid
from knowmvg.core.boxtext.reading import Fault
from knowmvg.core.boxtext.views import Fit, View
from knowmvg.core.frames import Frame

CODECS = [
    BoxCodec(),
    PFMVG,
    BoxCodec(rounding="cell"),
    BoxCodec(style=Style.BBOX_2D, bins=1000),
    BoxCodec(style=Style.BBOX_2D, bins=None),
    BoxCodec(style=Style.BOX_2D, bins=1000, order="yxyx"),
    BoxCodec(style=Style.LOC, bins=1024, order="yxyx", top=1023),
    BoxCodec(style=Style.LOC_, bins=1000, rounding="cell"),
    BoxCodec(style=Style.REF_BOX, bins=1000),
    BoxCodec(style=Style.DECIMAL, bins=100),
    BoxCodec(style=Style.DECIMAL, bins=1000, order="yxyx"),
    BoxCodec(style=Style.PATCH, bins=32, rounding="cell"),
    BoxCodec(style=Style.PLAIN, bins=500),
    BoxCodec(style=Style.PLAIN, bins=None, order="yxyx"),
]
IDS = [f"{codec.style}-{codec.bins}-{codec.rounding}" for codec in CODECS]
sizes = st.tuples(st.integers(8, 4000), st.integers(8, 4000))
phrases = st.text(max_size=20)


@st.composite
def stored_boxes(draw, stored):
    corners = [sorted((draw(st.floats(0, 1)), draw(st.floats(0, 1)))) for _ in stored]
    (x1, x2), (y1, y2) = ((low * side, high * side) for (low, high), side in zip(corners, stored, strict=True))
    return x1, y1, x2, y2


@pytest.mark.parametrize("codec", CODECS, ids=IDS)
@given(data=st.data(), stored=sizes, phrase=phrases)
@settings(max_examples=60, deadline=None)
def test_every_box_is_written_and_read_back(codec, data, stored, phrase):
    frame = View(data.draw(st.sampled_from(Fit)), data.draw(sizes)).frame(stored)
    boxes = data.draw(st.lists(stored_boxes(stored), max_size=3))
    written = codec.encode(boxes, frame, phrase)
    reading = codec.decode(written.text, frame)
    assert not set(reading.faults) - {Fault.OUTSIDE}  # a bin that lies in the padding, next to a very thin box
    assert len(reading.boxes) + written.unseen + len(reading.faults) == len(boxes)
    for x1, y1, x2, y2 in reading.boxes:
        assert 0 <= x1 < x2 <= stored[0]
        assert 0 <= y1 < y2 <= stored[1]


@pytest.mark.parametrize("codec", CODECS, ids=IDS)
def test_thousands_of_boxes_come_back_within_half_a_bin(codec):
    rng = np.random.default_rng(11)
    worst = 0.0
    for _ in range(250):
        stored = tuple(int(side) for side in rng.integers(64, 4000, 2))
        canvas = tuple(int(side) for side in rng.integers(64, 1500, 2))
        frame, side = Frame.squash(stored, canvas), np.array(stored, float)
        bins = np.array(codec.grid.units(canvas), float)
        long = 1.0 + (codec.style is Style.PATCH) * 1.0  # two corners in one row of cells are read as its edges
        low = rng.uniform(0, 1 - long / bins, (4, 2))
        high = low + long / bins + rng.uniform(0, 1, (4, 2)) * (1 - long / bins - low)
        boxes = np.concatenate([low * side, high * side], axis=1)
        reading = codec.decode(codec.encode(boxes, frame, "a").text, frame)
        assert reading.faults == ()
        worst = max(worst, float((np.abs(np.array(reading.boxes) - boxes) / np.tile(side / bins, 2)).max()))
    one = codec.rounding == "floor" or codec.top is not None  # there is no number for the far edge
    allowed = 1.0 if one else 0.5
    assert worst <= allowed + 1e-6
    assert worst > 0.4


def test_published_truncation_moves_boxes_half_a_bin_to_the_top_left():
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 500, (2000, 2))
    boxes = np.concatenate([low, low + rng.uniform(20, 480, (2000, 2))], axis=1)
    frame = Frame.squash((1000, 1000), (448, 448))
    shift = {}
    for rounding in ("floor", "nearest"):
        codec = BoxCodec(rounding=rounding)
        numbers = np.array(codec.numbers(frame.to_canvas(boxes), frame.canvas))
        shift[rounding] = float((frame.to_stored(codec.grid.boxes(numbers, frame.canvas)) - boxes).mean())
    assert shift["floor"] == pytest.approx(-5.0, abs=0.2)
    assert shift["nearest"] == pytest.approx(0.0, abs=0.2)


def test_figure_2_of_the_paper():
    """Its two predictions and what they are "after processing"; the sizes of the images follow from the numbers."""
    frame = Frame.squash((2544, 3056), (448, 448))
    (box,) = PFMVG.decode("{<56><12><82><31>}", frame).boxes
    assert [round(value) for value in box] == [1425, 367, 2086, 947]
    frame = Frame.squash((2754, 2538), (448, 448))
    (box,) = PFMVG.decode("{<22><12><46><24>}", frame).boxes
    assert [round(value) for value in box] == [606, 305, 1267, 609]
    assert PFMVG.encode([box], frame).text == "{<22><12><46><24>}"


def test_a_box_under_a_bin_keeps_the_bin_that_it_reaches_into():
    grid = Grid(10)
    cases = {(0.0, 0.1): (0, 1), (9.9, 10.0): (9, 10), (4.6, 5.2): (4, 5), (4.9, 5.4): (5, 6), (5.0, 5.0): (5, 6)}
    for (low, high), expected in cases.items():
        found = grid.numbers([[low, low, high, high]], (10, 10))[0].tolist()
        assert found == [expected[0], expected[0], expected[1], expected[1]], (low, high)
    assert Grid(10, "cell").numbers([[9.2, 0.1, 9.9, 0.2]], (10, 10)).tolist() == [[8, 0, 9, 1]]


def test_nothing_is_an_answer_in_every_style():
    frame = Frame.squash((100, 100), (100, 100))
    for codec in CODECS:
        written = codec.encode([], frame, "no effusion")
        reading = codec.decode(written.text, frame)
        assert (reading.boxes, reading.faults) == ((), ())


@pytest.mark.parametrize(
    "phrase", ['left "upper" lobe', "nodule; mass", "<3 cm {a}", "Erguss\nlinks \u00e4", "\U0001f9b4"]
)
def test_any_phrase_can_stand_in_an_answer(phrase):
    frame = Frame.squash((100, 100), (100, 100))
    for codec in CODECS:
        written = codec.encode([(10, 20, 60, 80)], frame, phrase)
        reading = codec.decode(written.text, frame)
        assert (len(reading.boxes), reading.faults) == (1, ())


def test_wrong_combinations_are_refused():
    for wrong in (
        {"style": "decimal", "bins": 64},
        {"style": "patch"},
        {"bins": 1},
        {"top": 7, "bins": None},
        {"style": "prose"},
        {"bins": 20_000},
    ):
        with pytest.raises(ValueError, match=r"expected|should|bins"):
            BoxCodec.model_validate(wrong)
