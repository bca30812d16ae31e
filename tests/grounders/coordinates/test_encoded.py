"""Kosmos-2 and Florence-2 on tiny models of the real classes, by the path that a hub id takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.models.florence2.processing_florence2 import Florence2PostProcessor
from transformers.models.kosmos2.processing_kosmos2 import coordinate_to_patch_index, patch_index_to_coordinate

from knowmvg.core.boxtext.florence2 import FLORENCE2
from knowmvg.core.boxtext.kosmos2 import CELLS, KOSMOS2, indices, place
from knowmvg.core.boxtext.reading import Item
from knowmvg.core.errors import ModelError
from knowmvg.grounders.coordinates import store
from knowmvg.grounders.coordinates.load import load_chat_model
from tests.grounders.coordinates.test_speaking import queries, study
from tests.grounders.coordinates.tiny_encoded import write_encoded

NAMES = ("kosmos-2", "florence2")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folders = {name: write_encoded(name, tmp_path_factory.mktemp("encoded") / name) for name in NAMES}
    loaded = {name: load_chat_model(str(folder)) for name, folder in folders.items()}
    for model in loaded.values():
        model.config = model.config.model_copy(update={"most": 1})
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_answers_parse_and_batches_are_singles(tiny, name):
    model = tiny[name]
    asking = [queries("nodule", "<2 cm"), queries("mass", boxes=2)]
    answers = model.answers([study(1), study(2)], asking)
    assert all(answer.valid and answer.whole and answer.boxes for row in answers for answer in row)
    together = model.ground_phrases([study(1), study(2)], asking)
    assert len(together[1].phrases[0].boxes) == 2
    for one, row, batch in zip([study(1), study(2)], asking, together, strict=True):
        for query, phrase in zip(row, batch.phrases, strict=True):
            (alone,) = model.ground_phrases([one], [[query]])[0].phrases
            assert [r.xyxy for r in alone.boxes] == [r.xyxy for r in phrase.boxes]
            assert [r.score for r in alone.boxes] == pytest.approx([r.score for r in phrase.boxes], abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_image_encoder_runs_once_for_eight_phrases(tiny, name, monkeypatch):
    looked = []
    model = tiny[name]
    vision = model.speaker.model.vision_model if name == "kosmos-2" else model.speaker.model.model.vision_tower
    handle = vision.register_forward_hook(lambda *_: looked.append(1))
    model.ground_phrases([study(3)], [queries(*[f"{n}" for n in range(8)])])
    handle.remove()
    assert len(looked) == 1


@pytest.mark.parametrize("name", NAMES)
def test_free_answers_are_those_of_the_class_s_own_generate(tiny, name):
    speaker = tiny[name].speaker
    canvas = np.random.default_rng(4).random((1, speaker.side, speaker.side)).astype(np.float32)
    seen = speaker.look(canvas)
    question = {"kosmos-2": "<grounding><phrase> nodule</phrase>", "florence2": "Locate nodule"}[name]
    ours = speaker.answer(seen, [0], [question], None, 6)[0].tolist()
    ids = torch.tensor([speaker.prompt(question, seen.shape[1])])
    pixels, settings = speaker._pixels(canvas), speaker._generation(6)
    if name == "kosmos-2":
        first = speaker._first_image_id()
        where = ((ids >= first) & (ids < first + seen.shape[1])).long()
        theirs = speaker.model.generate(
            pixel_values=pixels, input_ids=ids, image_embeds_position_mask=where, generation_config=settings
        )[0, ids.shape[1] :]
    else:
        begun = torch.tensor([[2, 0]])
        theirs = speaker.model.generate(
            input_ids=ids, pixel_values=pixels, decoder_input_ids=begun, generation_config=settings
        )[0, 2:]
    assert ours == theirs.tolist()


def test_kosmos_prompts_hold_the_image_where_its_processor_puts_it(tiny):
    speaker = tiny["kosmos-2"].speaker
    made = speaker._processor(text="<grounding><phrase> a</phrase>", images=speaker._blank, num_image_tokens=4)
    ids, first = speaker.prompt("<grounding><phrase> a</phrase>", 4), speaker._first_image_id()
    assert [int(first <= token < first + 4) for token in ids] == made["image_embeds_position_mask"]
    assert ids.index(speaker.ids["<grounding>"]) > ids.index(speaker.ids["</image>"])


def test_kosmos_cells_are_those_of_its_processor():
    rng = np.random.default_rng(0)
    for _ in range(500):
        low = rng.uniform(0, 0.95, 2)
        box = (*low, *(low + rng.uniform(0.001, 1, 2) * (1 - low)))
        theirs = coordinate_to_patch_index(box, CELLS)
        if theirs[1] % CELLS >= theirs[0] % CELLS and theirs[1] // CELLS >= theirs[0] // CELLS:
            assert indices(box, (1, 1)) == theirs
        first, last = sorted(rng.integers(0, CELLS * CELLS, 2).tolist())
        if first % CELLS <= last % CELLS:
            found, faults = place(first, last)
            assert faults == ()
            assert np.array(found) / CELLS == pytest.approx(patch_index_to_coordinate(first, last, CELLS))
    text = KOSMOS2.write([Item("a", ((0.25, 0.5, 0.75, 1.0),))], (1, 1))
    assert text == "<phrase> a</phrase><object><patch_index_0520><patch_index_1015></object>"


def test_florence_bins_are_those_of_its_processor():
    rng = np.random.default_rng(0)
    size = (1536, 2048)
    processor = Florence2PostProcessor.__new__(Florence2PostProcessor)
    processor.quantize_bins = (1000, 1000)
    low = rng.uniform(0, 0.9, (200, 2))
    boxes = np.concatenate([low, low + 0.05], axis=1) * [*size, *size]
    theirs = processor.quantize(torch.tensor(boxes), size)
    assert FLORENCE2.grid.numbers(boxes, size).tolist() == theirs.tolist()
    back = processor.dequantize(theirs, size).numpy()
    assert np.abs(FLORENCE2.grid.boxes(theirs.numpy(), size) - back).max() < 1  # theirs are cut to whole pixels


def test_there_is_nothing_of_its_own_to_keep(tiny, tmp_path):
    with pytest.raises(ModelError, match="can be trained"):
        store.save(tiny["kosmos-2"], tmp_path / "m")
    assert not (tmp_path / "m").exists()
