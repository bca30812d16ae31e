"""What models write when they do not answer as asked: each line is parsed or refused as docs/coordinates.md says.

Canvas 1000 x 1000, so that thousandths and pixels are the same. A line is the reader, the answer, the boxes taken
and the faults listed; with ``repair`` only where a second table says so.
"""

from __future__ import annotations

import pytest

from knowmvg.core.boxtext.codec import PFMVG, BoxCodec, Style
from knowmvg.core.boxtext.dialects import DIALECTS
from knowmvg.core.boxtext.reading import Fault
from knowmvg.core.frames import Frame

E, PROSE, PART, MAL, NAN = Fault.EMPTY, Fault.PROSE, Fault.PARTIAL, Fault.MALFORMED, Fault.NOT_A_NUMBER
RANGE, SWAP, LINE, TWICE, SCORE = Fault.OUT_OF_RANGE, Fault.SWAPPED, Fault.NO_AREA, Fault.DUPLICATE, Fault.BAD_SCORE
A, B = (100, 200, 300, 400), (500, 600, 700, 800)

TABLE = [
    # --- prose, refusals, nothing
    ("minigpt", "", [], [E]),
    ("qwen3", " \n\t ", [], [E]),
    ("minigpt", "I am sorry, but I cannot interpret medical images.", [], [PROSE]),
    ("qwen3", "There is no effusion.", [], [PROSE]),
    ("medgemma", "The heart is enlarged (CTR 0.6).", [], [PROSE]),
    ("paligemma", "effusion", [], [PROSE]),
    ("llava", "The region is in the lower left of the image.", [], [PROSE]),
    ("internvl", "The bounding box coordinates of the region it describes are [x1, y1, x2, y2].", [], [PROSE]),
    ("kosmos2", "<grounding> An image of a chest.", [], [PROSE]),
    ("florence2", "</s><s></s>", [], [PROSE]),
    ("plain", "none", [], [PROSE]),
    # --- a clear no
    ("minigpt", "{}", [], []),
    ("minigpt", "{ }", [], []),
    ("minigpt", "<p>effusion</p>", [], []),
    ("qwen3", "[]", [], []),
    ("qwen3", "```json\n[]\n```", [], []),
    ("medgemma", "Final Answer: ```json[]```", [], []),
    ("llava", "[]", [], []),
    ("internvl", "<ref>a</ref><box>[]</box>", [], []),
    # --- a box among other words
    ("minigpt", "Sure! The location is {<10><20><30><40>}.", [A], []),
    ("minigpt", "{<10><20><30><40>}</s></s><unk>", [A], []),
    ("minigpt", "\u200b{<10> <20>\u00a0<30><40>}", [A], []),
    ("qwen3", 'Here you go:\n```json\n[{"bbox_2d": [100, 200, 300, 400], "label": "a"}]\n```\nAnything else?', [A], []),
    ("qwen3", '<think>[{"bbox_2d": [1, 2, 3, 4]}]</think>{"bbox_2d": [100, 200, 300, 400]}', [A], []),
    ("qwen3", '{"answer": {"regions": [{"bbox_2d": [100, 200, 300, 400]}]}}', [A], []),
    ("qwen3", '[[[{"bbox_2d": [[100, 200, 300, 400], [500, 600, 700, 800]]}]]]', [A, B], []),
    ("medgemma", 'I see [1, 2]. Final Answer: [{"box_2d": [200, 100, 400, 300], "label": "a"}]', [A], []),
    ("paligemma", "<loc0256><loc0512><loc0768><loc1023> a<eos>", [(500, 250, 1023000 / 1024, 750)], []),
    ("llava", "It is at [0.1, 0.2, 0.3, 0.4], I think.", [A], []),
    ("llava", "[0.1, 0.2, 0.3, 0.4] [0.5, 0.6, 0.7, 0.8]", [A, B], []),
    ("internvl", "Yes: <box>[[100, 200, 300, 400]]</box>\n", [A], []),
    ("internvl", "<box>[100, 200, 300, 400]</box>", [A], []),
    ("plain", "boxes = [[100, 200, 300, 400], [500, 600, 700, 800]];", [A, B], []),
    # --- several, repeated, one bad among good ones
    ("minigpt", "{<10><20><30><40>}<delim>{<50><60><70><80>}", [A, B], []),
    ("minigpt", "{<10><20><30><40>} and {<50><60><70><80>}", [A, B], []),
    ("minigpt", "{<10><20><30><40>}{<10><20><30><40>}", [A, A], []),
    ("minigpt", "{<10><20><30><40>}<delim>{<50><60><70>", [A], [PART]),
    ("minigpt", "{<10><20><30><40>}<delim>{<90><60><70><80>}", [A], [SWAP]),
    ("qwen3", '[{"bbox_2d": [100, 200, 300, 400]}, {"bbox_2d": [0, 0, 2000, 5]}]', [A], [RANGE]),
    ("qwen3", '[{"bbox_2d": [100, 200, 300, 400]}, {"label": "b"}]', [A], []),
    ("paligemma", "<loc0000><loc0000><loc0512><loc0512><loc0001> a", [(0, 0, 500, 500)], [PART]),
    # --- cut off, too few, too many
    ("minigpt", "{<10><20><30>}", [], [PART]),
    ("minigpt", "{<10><20><30><40><50>}", [], [PART]),
    ("minigpt", "{<10><20><30><40>", [], [PART]),
    ("minigpt", "{<10><20", [], [PART]),
    ("qwen3", '[{"bbox_2d": [100, 200, 300', [], [PART]),
    ("qwen3", '[{"bbox_2d": [100, 200, 300, 400, 500]}]', [], [PART]),
    ("qwen3", '[{"bbox_2d": 100}]', [], [PART]),
    ("qwen3", '[{"bbox_2d": "100, 200, 300, 400"}]', [], [PART]),
    ("qwen3", '[{"bbox_2d": {"x1": 100, "y1": 200, "x2": 300, "y2": 400}}]', [], [PART]),
    ("llava", "[0.1, 0.2, 0.3]", [], [PART]),
    ("llava", "[0.1, 0.2, 0.3, 0.4, 0.5]", [], [PART]),
    ("internvl", "<ref>a</ref><box>[[100, 200, 300]]</box>", [], [PART]),
    ("internvl", "<ref>a</ref><box>[[100, 200, 300, 400]]", [A], [PART]),
    ("internvl", "<ref>a</ref><box></box>", [], [PART]),
    ("kosmos2", "<object><patch_index_0033><patch_index_0", [], [PART]),
    ("kosmos2", "<object></object>", [], [PART]),
    ("florence2", "a<loc_1><loc_2>", [], [PART]),
    ("paligemma", "<loc0100><loc0200><loc03", [], [PART, PART]),
    ("maira2", "<obj>a <box><x10><y20></box></obj>", [], [PART]),
    # --- out of range, swapped, without area
    ("minigpt", "{<10><20><30><101>}", [], [RANGE]),
    ("minigpt", "{<999><999><999><999>}", [], [RANGE]),
    ("minigpt", "{<30><20><10><40>}", [], [SWAP]),
    ("minigpt", "{<0><0><0><0>}", [], [LINE]),
    ("qwen3", '{"bbox_2d": [100, 200, 300, 1001]}', [], [RANGE]),
    ("qwen3", '{"bbox_2d": [-5, 200, 300, 400]}', [], [RANGE]),
    ("qwen3", '{"bbox_2d": [300, 400, 100, 200]}', [], [SWAP]),
    ("qwen3", '{"bbox_2d": [3000, 4, 1, 2]}', [], [RANGE, SWAP]),
    ("qwen3", '{"bbox_2d": [100, 200, 100, 400]}', [], [LINE]),
    ("llava", "[0.3, 0.2, 0.1, 0.4]", [], [SWAP]),
    ("llava", "[0, 0, 0, 0]", [], [LINE]),
    ("paligemma", "<loc1024><loc0000><loc1030><loc0100> a", [], [RANGE]),
    ("florence2", "a<loc_0><loc_0><loc_0><loc_9>", [], [LINE]),
    ("kosmos2", "<object><patch_index_0000><patch_index_1024></object>", [], [RANGE]),
    # --- numbers that are none
    ("minigpt", "{<a><b><c><d>}", [], [NAN]),
    ("minigpt", "{<1.5><2><3><4>}", [], [NAN]),
    ("minigpt", "{<-1><2><3><4>}", [], [NAN]),
    ("minigpt", "{10, 20, 30, 40}", [], [NAN]),
    ("qwen3", '{"bbox_2d": [NaN, 1, 2, 3]}', [], [NAN]),
    ("qwen3", '{"bbox_2d": ["100", "200", "300", "400"]}', [], [NAN]),
    ("qwen3", '{"bbox_2d": [true, 200, 300, 400]}', [], [NAN]),
    ("qwen3", '{"bbox_2d": [1e999, 200, 300, 400]}', [], [NAN]),
    ("qwen3", '{"bbox_2d": [null, null, null, null]}', [], [NAN]),
    # --- unicode
    ("minigpt", "\uff5b\uff1c10\uff1e\uff1c20\uff1e\uff1c30\uff1e\uff1c40\uff1e\uff5d", [], [PROSE]),
    ("minigpt", "{<\u0661\u0660><20><30><40>}", [A], []),  # Arabic-Indic digits are digits
    ("minigpt", "{<\u00b2><20><30><40>}", [], [NAN]),
    ("qwen3", '[{"bbox_2d": [100, 200, 300, 400], "label": "\u80ba\u708e \U0001fac1"}]', [A], []),
    ("qwen3", "[{\u201cbbox_2d\u201d: [100, 200, 300, 400]}]", [], [MAL]),
    ("qwen3", "\ud800\x00", [], [PROSE]),
    # --- malformed, said twice, scores
    ("qwen3", "[{'bbox_2d': [100, 200, 300, 400]}]", [], [MAL]),
    ("qwen3", "[{bbox_2d: [100, 200, 300, 400]}]", [], [MAL]),
    ("qwen3", '[{"bbox_2d": [1, 2, 3, 4], "bbox_2d": [5, 6, 7, 8]}]', [], [TWICE]),
    ("qwen3", '[{"bbox_2d": [100, 200, 300, 400], "confidence": 0.5}]', [A], []),
    ("qwen3", '[{"bbox_2d": [100, 200, 300, 400], "score": 95}]', [A], [SCORE]),
    # --- the convention of another family: refused, or read with a fault; never shifted in silence where it can be told
    ("minigpt", '[{"bbox_2d": [100, 200, 300, 400]}]', [], [NAN]),
    ("minigpt", "<loc0100><loc0200><loc0300><loc0400> a", [], [PROSE]),
    ("minigpt", "[0.1, 0.2, 0.3, 0.4]", [], [PROSE]),
    ("qwen3", "{<10><20><30><40>}", [], [PROSE]),
    ("qwen3", '[{"box_2d": [100, 200, 300, 400]}]', [], [PROSE]),
    ("qwen3", "<|box_start|>(100,200),(300,400)<|box_end|>", [], [PROSE]),
    ("medgemma", '[{"bbox_2d": [100, 200, 300, 400]}]', [], [MAL]),
    ("medgemma", "<loc0100><loc0200><loc0300><loc0400> a", [], [PROSE]),
    ("llava", "[100, 200, 300, 400]", [], [RANGE]),
    ("internvl", "[100, 200, 300, 400]", [], [PROSE]),
    ("paligemma", "<loc_100><loc_200><loc_300><loc_400> a", [], [PART] * 4),
    ("florence2", "<loc0100><loc0200><loc0300><loc0400> a", [], [PROSE]),
    ("plain", "0.1 0.2 0.3 0.4", [], [PROSE]),
    ("kosmos2", "{<10><20><30><40>}", [], [PROSE]),
]  # fmt: skip

REPAIRED = [
    ("minigpt", "{<30><20><10><40>}", [A], [SWAP]),
    ("minigpt", "{<10><20><30><140>}", [(100, 200, 300, 1000)], [RANGE]),
    ("qwen3", '{"bbox_2d": [300, 400, 100, 200]}', [A], [SWAP]),
    ("qwen3", '{"bbox_2d": [-5, 200, 300, 400]}', [(0, 200, 300, 400)], [RANGE]),
    ("llava", "[0.3, 0.2, 0.1, 0.4]", [A], [SWAP]),
    ("kosmos2", "<object><patch_index_0033><patch_index_0000></object>", [(15.625, 15.625, 46.875, 46.875)], [SWAP]),
    ("minigpt", "{<10><20><30>}", [], [PART]),
    ("minigpt", "{<0><0><0><0>}", [], [LINE]),
]


def test_the_table_is_long_enough():
    assert len({(name, text) for name, text, *_ in TABLE}) >= 100
    assert {name for name, *_ in TABLE} >= {"minigpt", "qwen3", "medgemma", "paligemma", "llava", "internvl", "kosmos2"}


@pytest.mark.parametrize("line", TABLE, ids=range(len(TABLE)))
def test_junk_is_parsed_or_refused_as_documented(line):
    name, text, boxes, faults = line
    reading = DIALECTS[name].read(text, (1000, 1000))
    assert list(reading.faults) == faults
    assert [pytest.approx(box) for box in boxes] == list(reading.boxes)


@pytest.mark.parametrize("line", REPAIRED, ids=range(len(REPAIRED)))
def test_what_repair_takes_and_what_it_does_not(line):
    name, text, boxes, faults = line
    reading = DIALECTS[name].read(text, (1000, 1000), repair=True)
    assert list(reading.faults) == faults
    assert [pytest.approx(box) for box in boxes] == list(reading.boxes)


@pytest.mark.parametrize("codec", [PFMVG, BoxCodec(style=Style.BBOX_2D, bins=None), BoxCodec(style=Style.LOC, top=99)])
def test_no_junk_makes_a_codec_raise_or_leave_the_image(codec):
    frame = Frame.letterbox((640, 480), (336, 336))
    for _, text, *_ in TABLE + REPAIRED:
        for repair in (False, True):
            for x1, y1, x2, y2 in codec.decode(text, frame, repair=repair).boxes:
                assert 0 <= x1 < x2 <= 640
                assert 0 <= y1 < y2 <= 480
