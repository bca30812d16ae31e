"""Boxes as text: what each family writes is read back, its published examples are read right, junk is never a box."""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.boxtext.dialects import DIALECTS, read_answer, write_answer
from knowmvg.core.boxtext.minigpt import MiniGpt
from knowmvg.core.boxtext.reading import MAX_BOXES, MAX_CHARACTERS, Fault, Item, Reading
from knowmvg.core.boxtext.views import Fit, View, patch_multiple
from knowmvg.core.frames import Frame

NAMES = sorted(DIALECTS)
HALF_BIN = {"maira2": 1 / 200, "qwen3": 1 / 2000, "medgemma": 1 / 2000, "paligemma": 1 / 2048, "minigpt": 1 / 200,
            "internvl": 1 / 2000, "llava": 1 / 200, "florence2": 1 / 2000, "kosmos2": 1 / 64}  # fmt: skip
SPEAKS = [name for name in NAMES if name not in ("plain", "llava")]  # lists have no phrases
SIZE = (200, 100)

sizes = st.tuples(st.integers(56, 3000), st.integers(56, 3000))
phrases = st.from_regex(r"[a-z][a-z ,\"'.-]{0,18}[a-z]", fullmatch=True)


@st.composite
def seen_boxes(draw, canvas):
    """A box on the canvas that is longer than any bin."""
    corners = []
    for side in canvas:
        start = draw(st.floats(0, 0.9))
        corners.append((start * side, draw(st.floats(start + 0.0625, 1.0)) * side))
    (x1, x2), (y1, y2) = corners
    return x1, y1, x2, y2


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), stored=sizes)
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_back_within_half_a_bin(name, data, stored):
    dialect = DIALECTS[name]
    canvas = dialect.frame(stored).canvas
    boxes = tuple(data.draw(st.lists(seen_boxes(canvas), min_size=1, max_size=3)))
    phrase = data.draw(phrases) if name in SPEAKS else None
    reading = dialect.read(dialect.write([Item(phrase, boxes)], canvas), canvas)
    assert reading.faults == ()
    assert [item.phrase for item in reading.items] == [phrase]
    off = np.abs(np.array(reading.boxes) - np.array(boxes))
    if name in HALF_BIN:
        bins = np.array([*canvas, *canvas]) * HALF_BIN[name]
        at_far_edge = np.array(boxes) > np.array([*canvas, *canvas]) * (1 - HALF_BIN[name]) - 1e-6
        allowed = np.where(at_far_edge & (name == "paligemma"), 2 * bins, bins)  # there is no token 1024
    else:
        allowed = 0.5 if name == "qwen2.5" else 0.005
    assert (off <= allowed + 1e-6).all()


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), stored=sizes)
@settings(max_examples=20, deadline=None)
def test_the_way_through_stored_pixels_agrees_with_the_frame(name, data, stored):
    dialect = DIALECTS[name]
    frame = View(data.draw(st.sampled_from(Fit)), data.draw(sizes)).frame(stored)
    visible = frame.to_canvas([[0, 0, *stored]])[0].clip(0, [*frame.canvas, *frame.canvas])
    shares = np.sort(np.array(data.draw(st.lists(st.floats(0, 1), min_size=4, max_size=4))).reshape(2, 2), axis=0)
    spread = np.maximum(shares[1] - shares[0], 0.2)  # at least 20 % of what the model sees of the image
    start = np.minimum(shares[0], 1 - spread)
    low, high = (
        visible[:2] + start * (visible[2:] - visible[:2]),
        visible[:2] + (start + spread) * (visible[2:] - visible[:2]),
    )
    (box,) = frame.to_stored([[*low, *high]]).tolist()
    written = write_answer(dialect, [Item(None, (tuple(box),))], frame)
    reading = read_answer(dialect, written.text, frame)
    if not reading.boxes:  # the strip that the model sees of a very long image may be thinner than a bin
        assert min((high - low) / np.array(frame.canvas)) < 0.03
        return
    step = max(frame.canvas) * 2 * HALF_BIN.get(name, 1 / max(frame.canvas)) / min(frame.scale)
    assert np.abs(np.array(reading.boxes[0]) - box).max() <= step + 1e-6
    assert written.unseen == 0


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        # the examples in the docstrings and prompts of the models' own code
        ("maira2", "<obj>grounded phrase <box><x55><y45><x70><y56></box></obj><obj>ungrounded phrase</obj>",
         [("grounded phrase", [(0.555, 0.455, 0.705, 0.565)]), ("ungrounded phrase", [])]),
        ("maira2", "<obj>both <box><x10><y20><x30><y40></box><box><x50><y60><x70><y80></box></obj>",
         [("both", [(0.105, 0.205, 0.305, 0.405), (0.505, 0.605, 0.705, 0.805)])]),
        ("medgemma", 'The heart lies left.\nFinal Answer: ```json[{"box_2d": [800, 3, 840, 471], "label": "car"}]```',
         [("car", [(0.003, 0.8, 0.471, 0.84)])]),
        ("medgemma", '<unused94>thought [1, 2]<unused95>[{"box_2d": [400, 22, 600, 73], "label": "dog"}]',
         [("dog", [(0.022, 0.4, 0.073, 0.6)])]),
        ("qwen3", '```json\n[\n\t{"bbox_2d": [10, 20, 500, 1000], "label": "a"}\n]\n```',
         [("a", [(0.01, 0.02, 0.5, 1.0)])]),
        ("paligemma", "<loc0256><loc0512><loc0768><loc1023> cat ; <loc0000><loc0000><loc0512><loc0512> dog",
         [("cat", [(0.5, 0.25, 1023 / 1024, 0.75)]), ("dog", [(0, 0, 0.5, 0.5)])]),
        ("paligemma", "<loc0256><loc0512><loc0768><loc1023><seg001><seg099> cat",
         [("cat", [(0.5, 0.25, 1023 / 1024, 0.75)])]),
        ("minigpt", "{<25><30><60><75>}", [(None, [(0.25, 0.3, 0.6, 0.75)])]),
        ("minigpt", "<p>sofas</p> {<57><49><70><72>}<delim>{<26><48><43><71>}",
         [("sofas", [(0.57, 0.49, 0.7, 0.72), (0.26, 0.48, 0.43, 0.71)])]),
        ("minigpt", " {<25> <30><60>< 75>}<unk>", [(None, [(0.25, 0.3, 0.6, 0.75)])]),
        ("internvl", "<ref>XXX</ref><box>[[253, 231, 733, 787]]</box>",  # OpenGVLab/InternVL issue 227
         [("XXX", [(0.253, 0.231, 0.733, 0.787)])]),
        ("internvl", "<ref>cats</ref><box>[[0, 0, 500, 500], [500, 0, 1000, 500]]</box>",
         [("cats", [(0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5)])]),
        ("llava", "[0.48, 0.26, 0.78, 0.6]", [(None, [(0.48, 0.26, 0.78, 0.6)])]),
        ("kosmos2",  # the example of Kosmos2ForConditionalGeneration, with the boxes that its processor gives
         "<grounding> An image of<phrase> a snowman</phrase><object><patch_index_0044><patch_index_0863></object> "
         "warming himself by<phrase> a fire</phrase><object><patch_index_0005><patch_index_0911></object>.",
         [("a snowman", [(0.390625, 0.046875, 0.984375, 0.828125)]),
          ("a fire", [(0.171875, 0.015625, 0.484375, 0.890625)])]),
        ("kosmos2", "<object><patch_index_0000><patch_index_0000></delimiter_of_multi_objects/>"
         "<patch_index_0001><patch_index_0033></object>",  # in one cell, and in one column: outer edges
         [(None, [(0, 0, 1 / 32, 1 / 32), (1 / 32, 0, 2 / 32, 2 / 32)])]),
        ("florence2", "</s><s>A green car<loc_52><loc_332><loc_932><loc_774></s>",
         [("A green car", [(0.0525, 0.3325, 0.9325, 0.7745)])]),
    ],
)  # fmt: skip
def test_published_examples(name, text, expected):
    reading = DIALECTS[name].read(text, (1, 1))
    assert reading.faults == ()
    assert [item.phrase for item in reading.items] == [phrase for phrase, _ in expected]
    for item, (_, boxes) in zip(reading.items, expected, strict=True):
        np.testing.assert_allclose(np.reshape(item.boxes, (-1, 4)), np.reshape(boxes, (-1, 4)), atol=1e-12)


def test_absolute_pixels_are_of_the_resized_image():
    stored = (1000, 2000)
    frame = DIALECTS["qwen2.5"].frame(stored)
    assert frame.canvas == (1008, 1988)  # multiples of 28
    (box,) = read_answer(DIALECTS["qwen2.5"], '{"bbox_2d": [504, 994, 1008, 1988]}', frame).boxes
    assert box == pytest.approx((500, 1000, 1000, 2000))


def processors_own_rule():
    """``smart_resize`` out of the source of transformers, whose import would take five seconds."""
    package = Path(importlib.util.find_spec("transformers").submodule_search_locations[0])
    source = (package / "models/qwen2_vl/image_processing_pil_qwen2_vl.py").read_text(encoding="utf-8")
    (rule,) = (node for node in ast.parse(source).body if getattr(node, "name", "") == "smart_resize")
    names = {"math": math}
    exec(compile(ast.Module([rule], []), "smart_resize", "exec"), names)
    return names["smart_resize"]


smart_resize = processors_own_rule()


@given(st.tuples(st.integers(8, 9000), st.integers(8, 9000)))
@settings(max_examples=200, deadline=None)
def test_the_resized_size_is_the_processor_s(stored):
    try:
        height, width = smart_resize(stored[1], stored[0], max_pixels=16384 * 28 * 28)
    except ValueError:
        with pytest.raises(ValueError, match="ratio"):
            patch_multiple(stored)
        return
    assert patch_multiple(stored) == (width, height)


@pytest.mark.parametrize("stored", [(640, 480), (480, 640), (500, 500), (2544, 3056)])
def test_the_crop_is_undone_as_maira2_s_processor_undoes_it(stored):
    width, height = stored
    side = min(stored)  # adjust_box_for_original_image_size, in words: offset of the square plus its share
    left, top = (width - side) // 2, (height - side) // 2
    text = "<obj>a<box><x10><y20><x30><y40></box></obj>"
    (box,) = read_answer(DIALECTS["maira2"], text, DIALECTS["maira2"].frame(stored)).boxes
    expected = [0.105 * side + left, 0.205 * side + top, 0.305 * side + left, 0.405 * side + top]
    np.testing.assert_allclose(box, expected, atol=0.51)


def test_minigpt_s_training_targets_are_truncated():
    box = (25.9, 30.0, 60.99, 75.5)
    assert MiniGpt("floor").write([Item(None, (box,))], (100, 100)) == "{<25><30><60><75>}"
    assert MiniGpt().write([Item(None, (box,))], (100, 100)) == "{<26><30><61><76>}"


EMPTY_ANSWERS = {
    "maira2": "<obj>effusion</obj>", "qwen2.5": "[]", "qwen3": '```json\n[]\n```', "plain": "[]",
    "medgemma": 'Final Answer: [{"box_2d": null, "label": "effusion"}]', "minigpt": "<p>effusion</p>",
    "internvl": "<ref>effusion</ref><box>[]</box>", "llava": "[]", "kosmos2": "<phrase> effusion</phrase>",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(EMPTY_ANSWERS))
def test_a_clear_no_is_no_fault(name):
    reading = DIALECTS[name].read(EMPTY_ANSWERS[name], SIZE)
    assert reading.boxes == ()
    assert reading.faults == ()


JUNK = {
    Fault.EMPTY: dict.fromkeys(NAMES, " \n"),
    Fault.PROSE: dict.fromkeys(NAMES, "The effusion is in the left lower zone (see 3)."),
    Fault.TOO_LONG: dict.fromkeys(NAMES, "x" * (MAX_CHARACTERS + 1)),
    Fault.PARTIAL: {
        "maira2": "<obj>a <box><x10><y20><x30>", "qwen2.5": '[{"bbox_2d": [10, 20, 30',
        "paligemma": "<loc0100><loc0200> a",
        "qwen3": '[{"bbox_2d": [10, 20, 30], "label": "a"}]', "medgemma": '[{"box_2d": [1, 2], "label": "a"}]',
        "minigpt": "{<10><20><30", "plain": "[[1, 2, 3", "internvl": "<ref>a</ref><box>[[10, 20, 30",
        "llava": "[0.1, 0.2",
        "kosmos2": "<object><patch_index_0001></object>", "florence2": "a<loc_1><loc_2><loc_3>",
    },
    Fault.OUT_OF_RANGE: {
        "maira2": "<box><x10><y20><x30><y100></box>", "qwen2.5": '[{"bbox_2d": [10, 20, 30, 102]}]',
        "qwen3": '[{"bbox_2d": [-1, 20, 30, 40]}]', "medgemma": '[{"box_2d": [10, 20, 30, 1001]}]',
        "paligemma": "<loc0000><loc0000><loc0512><loc1024> a", "minigpt": "{<25><30><60><101>}",
        "plain": "[0, 0, 202, 9]", "internvl": "<box>[[0, 0, 5, 1001]]</box>", "llava": "[0, 0.1, 0.2, 1.2]",
        "florence2": "a<loc_1><loc_2><loc_3><loc_1000>",
    },
    Fault.SWAPPED: {
        "maira2": "<box><x30><y20><x10><y40></box>", "qwen2.5": '[{"bbox_2d": [30, 20, 10, 40]}]',
        "qwen3": '[{"bbox_2d": [10, 40, 30, 20]}]', "medgemma": '[{"box_2d": [30, 20, 10, 40]}]',
        "paligemma": "<loc0512><loc0000><loc0000><loc0512> a", "minigpt": "{<60><30><25><75>}", "plain": "[9, 0, 1, 9]",
        "internvl": "<box>[[9, 1, 5, 7]]</box>", "llava": "[0.5, 0.1, 0.2, 0.3]",
        "florence2": "a<loc_9><loc_1><loc_3><loc_7>",
        "kosmos2": "<object><patch_index_0040><patch_index_0001></object>",
    },
    Fault.NO_AREA: {
        "maira2": "<box><x10><y20><x10><y40></box>", "qwen2.5": '[{"bbox_2d": [0, 0, 0, 0]}]', "plain": "[1, 1, 5, 1]",
        "qwen3": '[{"bbox_2d": [5, 5, 5, 9]}]', "paligemma": "<loc0001><loc0001><loc0001><loc0009>",
        "minigpt": "{<5><5><5><9>}", "medgemma": '[{"box_2d": [7, 7, 7, 9]}]', "internvl": "<box>[[5, 5, 5, 7]]</box>",
        "llava": "[0.5, 0.1, 0.5, 0.3]", "florence2": "a<loc_9><loc_1><loc_9><loc_7>",
    },
    Fault.NOT_A_NUMBER: {
        "qwen2.5": '[{"bbox_2d": [NaN, 0, 5, 5]}]', "qwen3": '[{"bbox_2d": ["1", "2", "3", "4"]}]',
        "medgemma": '[{"box_2d": [0, 0, Infinity, 5]}]', "plain": "[true, 0, 5, null]", "minigpt": "{<a><b><c><d>}",
    },
    Fault.MALFORMED: {
        "qwen3": "[{'bbox_2d': [10, 20, 30, 40], 'label': 'a'}]", "qwen2.5": "bbox_2d = (10, 20, 30, 40)",
        "medgemma": "{box_2d: [10, 20, 30, 40]}",
    },
    Fault.DUPLICATE: {
        "qwen3": '[{"bbox_2d": [1, 2, 3, 4], "bbox_2d": [5, 6, 7, 8], "label": "a"}]',
        "medgemma": '[{"box_2d": [1, 2, 3, 4], "label": "a", "label": "b"}]',
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "name"), [(fault, name) for fault, by_name in JUNK.items() for name in by_name], ids=str
)
def test_junk_is_a_fault_and_never_a_box(fault, name):
    reading = DIALECTS[name].read(JUNK[fault][name], SIZE)
    assert reading.boxes == ()
    assert set(reading.faults) == {fault}


@pytest.mark.parametrize("name", NAMES)
def test_thousands_of_boxes_are_no_answer(name):
    dialect, box = DIALECTS[name], (10.0, 10.0, 50.0, 50.0)
    at_limit = dialect.write([Item(None, (box,) * MAX_BOXES)], SIZE)
    assert len(dialect.read(at_limit, SIZE).boxes) == MAX_BOXES
    reading = dialect.read(dialect.write([Item(None, (box,) * (MAX_BOXES + 1))], SIZE), SIZE)
    assert reading == Reading((), (Fault.TOO_MANY,))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 90_000, "{" * 90_000, '{"bbox_2d":' * 5_000, "<box>" * 10_000, "<loc0001>" * 10_000, "{<1>" * 20_000,
        '[{"bbox_2d": [' + "9" * 50_000 + ", 1, 2, 3]}]", "[" + "1e999," * 100 + "1]", "<p>" * 30_000, '"' * 90_000,
        '[{"bbox_2d": [1e400, 0, 5, 5]}]', "<obj>" * 20_000, "<x1>" * 20_000, "\x00\ud800{<1><2><3><4>}",
    ],
    ids=lambda text: text[:12].encode("ascii", "replace").decode(),
)  # fmt: skip
@pytest.mark.parametrize("name", NAMES)
def test_hostile_text_is_read_without_harm(name, text):
    reading = DIALECTS[name].read(text, SIZE)
    assert len(reading.boxes) <= MAX_BOXES
    assert reading.items or reading.faults


alphabet = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.sampled_from(
            ["<obj>", "</obj>", "<box>", "</box>", "<x10>", "<y99>", "<loc0100>", "<loc", "{", "}", "<7>", "[", "]",
             ",", ":", '"bbox_2d"', '"box_2d"', '"label"', '"a"', "1", "2000", "-5", "NaN", "null", "<p>", "</p>",
             "<delim>", "1.5", ";"]
        ),
        max_size=40,
    ).map("".join),
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@given(text=alphabet, repair=st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_is_read_is_a_box_on_the_canvas(name, text, repair):
    reading = DIALECTS[name].read(text, SIZE, repair=repair)
    for x1, y1, x2, y2 in reading.boxes:
        assert 0 <= x1 < x2 <= SIZE[0]
        assert 0 <= y1 < y2 <= SIZE[1]
    if not text.strip():
        assert reading.faults == (Fault.EMPTY,)


@pytest.mark.parametrize("name", NAMES)
def test_repair_is_asked_for_and_listed(name):
    for fault in (Fault.SWAPPED, Fault.OUT_OF_RANGE):
        if name not in JUNK[fault]:  # an index beyond the last cell says nothing of row or column
            continue
        reading = DIALECTS[name].read(JUNK[fault][name], SIZE, repair=True)
        assert reading.faults == (fault,)
        assert len(reading.boxes) == 1


def test_the_complete_boxes_of_a_cut_answer_are_kept():
    whole = '{"bbox_2d": [1, 2, 30, 40], "label": "a"}'
    for rest in ('{"bbox_2d": [5, 6', "{", ""):
        reading = DIALECTS["qwen3"].read(f"[{whole}, {rest}", (1000, 1000))
        assert reading == Reading((Item("a", ((1, 2, 30, 40),)),), (Fault.PARTIAL,))
    reading = DIALECTS["maira2"].read("<obj>a <box><x1><y2><x3><y4></box><box><x5>", (100, 100))
    assert (len(reading.boxes), reading.faults) == (1, (Fault.PARTIAL,))
    reading = DIALECTS["maira2"].read("<obj>a <box><x1><y2><x3><y4></box>", (100, 100))
    assert (len(reading.boxes), reading.faults) == (1, (Fault.PARTIAL,))


def test_json_objects_are_found_wherever_they_are():
    wrapped = {"findings": [{"bbox_2d": [[1, 2, 3, 4], [5, 6, 7, 8]], "label": " a "}], "note": {"bbox_2d": []}}
    reading = DIALECTS["qwen3"].read(f"Here: {json.dumps(wrapped)} as asked.", (1000, 1000))
    assert reading.faults == ()
    assert [(item.phrase, len(item.boxes)) for item in reading.items] == [("a", 2), (None, 0)]


def test_scores_travel_where_there_is_room_for_them():
    items = [Item("a", ((1.0, 2.0, 3.0, 4.0),), (0.25,))]
    (item,) = DIALECTS["qwen3"].read(DIALECTS["qwen3"].write(items, (1000, 1000)), (1000, 1000)).items
    assert item.scores == (0.25,)
    reading = DIALECTS["qwen3"].read('[{"bbox_2d": [1, 2, 3, 4], "score": 7}]', (1000, 1000))
    assert reading.faults == (Fault.BAD_SCORE,)
    assert reading.items[0].scores == ()


def test_marks_inside_a_phrase_are_refused():
    box = (1.0, 2.0, 30.0, 40.0)
    for name, phrase in (("maira2", "a</obj>"), ("paligemma", "a; b"), ("minigpt", "{a}")):
        with pytest.raises(ValueError, match="phrase"):
            DIALECTS[name].write([Item(phrase, (box,))], SIZE)
    assert (
        DIALECTS["maira2"].read(DIALECTS["maira2"].write([Item("<1 cm", (box,))], SIZE), SIZE).items[0].phrase
        == "<1 cm"
    )


def test_a_pixel_beyond_the_image_is_rounding():
    for name, text in (("plain", "[0, 0, 200.9, 101]"), ("qwen2.5", '{"bbox_2d": [-1, 0, 201, 101]}')):
        reading = DIALECTS[name].read(text, SIZE)
        assert (reading.boxes, reading.faults) == (((0, 0, 200, 100),), ())


def test_a_box_in_the_padding_is_outside_the_image():
    frame = Frame.letterbox((100, 50), (100, 100))  # 25 rows of padding above
    text = '[{"box_2d": [0, 0, 200, 1000], "label": "a"}, {"box_2d": [200, 0, 500, 1000], "label": "b"}]'
    reading = read_answer(DIALECTS["medgemma"], text, frame)
    assert reading.faults == (Fault.OUTSIDE,)
    assert [(item.phrase, item.boxes) for item in reading.items] == [("a", ()), ("b", ((0, 0, 100, 25),))]


def test_a_box_that_the_model_cannot_see_is_counted_and_not_written():
    dialect, frame = DIALECTS["maira2"], DIALECTS["maira2"].frame((300, 100))
    written = write_answer(dialect, [Item("a", ((0.0, 0.0, 50.0, 50.0), (100.0, 0.0, 150.0, 50.0)))], frame)
    assert written.unseen == 1
    assert re.findall(r"<x\d+>", written.text) == ["<x0>", "<x50>"]


@pytest.mark.parametrize("words", ["crop:518x518", "squash", "letterbox:10x20", "corner"])
def test_views_are_read_and_written(words):
    view = View.parse(words)
    assert str(view) == words
    frame = view.frame((40, 20))
    assert frame.canvas == (view.canvas or (40, 20))
    np.testing.assert_allclose(frame.to_stored(frame.to_canvas([[10, 5, 20, 15]])), [[10, 5, 20, 15]])


def test_what_each_view_shows():
    assert View.parse("corner:100x100").frame((50, 100)).to_canvas([[0, 0, 50, 100]]).tolist() == [[0, 0, 50, 100]]
    assert View.parse("letterbox:100x100").frame((50, 100)).to_canvas([[0, 0, 50, 100]]).tolist() == [[25, 0, 75, 100]]
    assert View.parse("crop:100x100").frame((50, 100)).to_canvas([[0, 25, 50, 75]]).tolist() == [[0, 0, 100, 100]]
    assert View.parse("squash:100x100").frame((50, 100)).to_canvas([[0, 0, 50, 100]]).tolist() == [[0, 0, 100, 100]]


@pytest.mark.parametrize(
    "words", ["", "stretch", "crop:0x5", "crop:518", "crop:9999999x1", "crop:100001x5", "CROP:1x1"]
)
def test_wrong_views_are_refused(words):
    with pytest.raises(ValueError, match="expected"):
        View.parse(words)


def test_scores_must_be_as_many_as_the_boxes():
    with pytest.raises(ValueError, match="one score a box"):
        Item("a", ((0.0, 0.0, 1.0, 1.0),), (0.5, 0.5))
