"""Each family's convention: answers as its documentation writes them, and where they lie, worked out by hand.

The image is 2000 wide and 1000 high. Letterboxed into a square, its height takes the middle half: half a side of the
square is 1000 pixels of the image, and y begins at a quarter.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from knowmvg.core.records import Radiograph
from knowmvg.grounders.canvas import on_canvas
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.conventions import CONVENTIONS, REMOTE, asked

IMAGE = Radiograph(np.zeros((1000, 2000), np.float32))
JSON = '```json\n[\n\t{{"{key}": {box}, "label": "a"}}\n]\n```'
GOLDEN = {
    # the square of LLaVA: x = 0.25 of 2000, y = (0.5 - 0.25) of 2000
    "llava": (336, "[0.25, 0.50, 0.50, 0.75]", (500, 500, 1000, 1000)),
    # 448 pixels a side, 0.224 to one of the file, 112 of padding above
    "qwen2_5_vl": (448, JSON.format(key="bbox_2d", box=[112, 168, 224, 280]), (500, 250, 1000, 750)),
    "qwen3_vl": (448, JSON.format(key="bbox_2d", box=[250, 500, 500, 750]), (500, 500, 1000, 1000)),
    "smolvlm": (384, JSON.format(key="bbox_2d", box=[250, 500, 500, 750]), (500, 500, 1000, 1000)),
    "idefics3": (364, JSON.format(key="bbox_2d", box=[250, 500, 500, 750]), (500, 500, 1000, 1000)),
    # thousandths of the whole image
    "internvl": (448, "<ref>a</ref><box>[[250, 500, 500, 750]]</box>", (500, 500, 1000, 750)),
    # y first, of the padded square
    "gemma3": (896, 'Final Answer: ```json[{"box_2d": [500, 250, 750, 500], "label": "a"}]```', (500, 500, 1000, 1000)),
    # y first, 1024 bins
    "paligemma": (224, "<loc0512><loc0256><loc0768><loc0512> a", (500, 500, 1000, 750)),
    "joined_llava": (448, "{<25><50><50><75>}", (500, 500, 1000, 750)),
    # cells (8, 16) and (15, 23) of 32 x 32: their centres
    "kosmos-2": (224, "<object><patch_index_0520><patch_index_0751></object>", (531.25, 515.625, 968.75, 734.375)),
    # the centres of bins: 250.5 thousandths and so on
    "florence2": (768, "</s><s>a<loc_250><loc_500><loc_499><loc_749></s>", (501, 500.5, 999, 749.5)),
}
DOC = (Path(__file__).parents[3] / "docs" / "coordinates.md").read_text(encoding="utf-8")


def test_every_family_has_a_golden_answer():
    assert set(GOLDEN) == set(CONVENTIONS)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_documented_answer_lies_where_it_should(name):
    side, text, expected = GOLDEN[name]
    config = CoordinatesConfig.of(CONVENTIONS[name])
    _, frame = on_canvas(IMAGE, side, config.fit)
    reading = config.codec.decode(text, frame)
    assert reading.faults == ()
    (box,) = reading.boxes
    assert box == pytest.approx(expected)
    wider = [box[0], box[1], box[2], box[3]]
    again = config.codec.decode(config.codec.encode([wider], frame, "a").text, frame)
    assert again.boxes[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("convention", [*CONVENTIONS.values(), REMOTE], ids=[*CONVENTIONS, "remote"])
def test_questions_hold_the_phrase_and_no_mark_of_it(convention):
    question = asked(convention.question, "left <box> \n effusion")
    assert "left box effusion" in question
    assert "{" not in question.replace('{"bbox_2d": [x1, y1, x2, y2], "label": "..."}', "")
    assert question.index("left box") > len(question) / 4 or len(question) < 60  # what is shared comes first


def test_the_page_names_every_family():
    named = set(re.findall(r"`([\w.-]+)`", "".join(re.findall(r"^\| [^|]+\|", DOC, re.MULTILINE))))
    assert set(CONVENTIONS) <= named


def test_the_page_s_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["written"].text == "{<56><12><82><31>}"
