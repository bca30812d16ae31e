"""A stage of PFMVG on a tiny model of the real class: it learns, stops and goes on."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from transformers.utils import logging

from knowmvg.core.boxtext.codec import PFMVG
from knowmvg.core.frames import Frame
from knowmvg.core.records import Assertion, LabelledPhrase, Phrase, Radiograph, Study
from knowmvg.grounders.backbones.load import load_speaking
from knowmvg.grounders.backbones.record import BackbonePart, LoraPart
from knowmvg.grounders.coordinates.examples import caption_pair, refer_pairs
from knowmvg.grounders.coordinates.instructions import pools
from knowmvg.grounders.coordinates.tuning import collate, seen
from knowmvg.training.coordinates.recipe import CaptionStage, CosinePart
from knowmvg.training.coordinates.stage import Stage
from tests.backbones.tiny_families import write_family

FRAME = Frame.squash((100, 100), (56, 56))


def labelled(text, boxes, assertion=Assertion.PRESENT):
    return LabelledPhrase(Phrase(text=text, assertion=assertion), np.array(boxes, float).reshape(-1, 4))


STUDY = Study(
    Radiograph(np.zeros((100, 100), np.float32)),
    "Small left effusion! No pneumothorax.",
    labels=(
        labelled("Left effusion", [(50, 60, 90, 95)]),
        labelled("bilateral edema", [(5, 20, 40, 80), (60, 20, 95, 80)]),
        labelled("pneumothorax", [], Assertion.ABSENT),
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    logging.disable_progress_bar()
    yield write_family("joined_llava", tmp_path_factory.mktemp("models") / "joined")
    logging.enable_progress_bar()


def model(folder):
    torch.manual_seed(1)
    lora = LoraPart(r=8, alpha=16, dropout=0.1)
    return load_speaking(BackbonePart(id=str(folder), dtype="float32", lora=lora))


def stage(loaded, part):
    pairs = refer_pairs(STUDY, PFMVG, FRAME, pools()) * 2
    canvases = np.random.default_rng(1).random((len(pairs), 56, 56)).astype(np.float32)
    tokens = seen(loaded, loaded.pictures(canvases))

    def batch_of(items, random):
        return collate(loaded, [(pairs[k].question, pairs[k].answer) for k in items], tokens[list(items)])

    return Stage(loaded, part, len(pairs), batch_of, seed=4)


def test_pairs_say_what_the_labels_say():
    one, two = refer_pairs(STUDY, PFMVG, FRAME, pools())
    assert one.question == "[refer] give the place of left effusion"
    assert one.answer == "{<50><60><90><95>}"
    assert two.answer == "{<5><20><40><80>}<delim>{<60><20><95><80>}"
    crop = Frame((100, 100), (56, 56), (1.12, 1.12), (-56, -56))  # the lower right quarter
    (shown,) = [pair for pair in refer_pairs(STUDY, PFMVG, crop, pools()) if "effusion" in pair.question]
    assert shown.answer == "{<0><20><80><90>}"
    caption = caption_pair(STUDY.report, pools(), Random(0), report=True, most_words=3)
    assert caption.question.startswith("[caption] ")
    assert caption.answer == "small left effusion"
    assert caption_pair("...", pools(), Random(0), report=False, most_words=3) is None


def test_a_stage_learns_and_ends(folder):
    made = stage(model(folder), CosinePart(epochs=12, batch=2, lr=1e-2, last_lr=1e-3))
    taken = list(made.run())
    assert [one.step for one in taken] == list(range(1, 25)) == list(range(1, made.steps + 1))
    assert taken[0].rate == pytest.approx(1e-2)
    assert taken[-1].rate == pytest.approx(1e-3)
    assert taken[-1].loss < 0.8 * taken[0].loss
    assert not made.loaded.vlm.model.training


def test_a_stage_that_was_stopped_goes_on_as_if_it_had_not(folder):
    part = CosinePart(epochs=4, batch=2, lr=1e-2, last_lr=1e-3)
    whole = stage(model(folder), part)
    losses = [one.loss for one in whole.run()]
    first = stage(model(folder), part)
    begun = [one.loss for one in first.run(3)]
    second = stage(model(folder), part)
    second.restore(first.state())
    rest = [one.loss for one in second.run()]
    assert begun + rest == pytest.approx(losses, rel=1e-6)
    for name, value in whole.parameters.items():
        torch.testing.assert_close(second.parameters[name], value)


def test_every_item_is_taken_once_an_epoch(folder):
    made = stage(model(folder), CosinePart(epochs=2, batch=3, lr=1e-3, last_lr=1e-3))
    chosen = []
    for step in range(made.steps):
        made.step = step
        chosen.append(made._chosen())
    assert [len(row) for row in chosen] == [3, 1, 3, 1]
    assert sorted(chosen[0] + chosen[1]) == sorted(chosen[2] + chosen[3]) == [0, 1, 2, 3]
    assert CaptionStage().epochs == 3


def test_nothing_to_learn_from_is_told(folder):
    with pytest.raises(ValueError, match="items"):
        Stage(model(folder), CosinePart(epochs=1, batch=1, lr=1.0, last_lr=0.0), 0, lambda items, random: None)
