"""Changed images keep their labels: boxes and masks move with the pixels, sides and spans with the words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.boxes import of_mask
from knowmvg.core.errors import RecipeError
from knowmvg.core.records import LabelledPhrase, Phrase, Radiograph, Side, Study
from knowmvg.training.augmentation.images import augmented
from knowmvg.training.augmentation.mirrored_words import can_be_mirrored, mirrored_text, mirrored_words
from knowmvg.training.augmentation.part import AugmentPart
from knowmvg.training.recipe import read_recipe
from knowmvg.training.run import train
from tests.tiny import TINY

WORDS = st.lists(
    st.sampled_from(
        [
            "Left",
            "right",
            "LEFT",
            "LLL",
            "rll",
            "RUL",
            "leftward",
            "rightmost",
            "left-sided",
            "upright",
            "effusion.",
            "in",
        ]
    ),
    min_size=1,
    max_size=12,
)


def study(shape: tuple[int, int], box: tuple[int, int, int, int], aspect: float = 1.0, masks: bool = True) -> Study:
    """A bright oblong on black, labelled."""
    pixels = np.zeros(shape, np.float32)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = 1.0
    report = "Small left effusion."
    phrase = Phrase(text="left effusion", span=(6, 19), side=Side.LEFT)
    stack = (pixels > 0.5)[None] if masks else None
    label = LabelledPhrase(phrase, np.array([box], dtype=float), stack)
    absent = LabelledPhrase(Phrase(text="effusion", span=(11, 19)), np.zeros((0, 4)))
    return Study(Radiograph(pixels, aspect), report, labels=(label, absent))


@st.composite
def studies(draw: st.DrawFn) -> Study:
    height, width = draw(st.integers(48, 96)), draw(st.integers(48, 96))
    x1, y1 = draw(st.integers(0, width - 12)), draw(st.integers(0, height - 12))
    x2, y2 = draw(st.integers(x1 + 10, width)), draw(st.integers(y1 + 10, height))
    return study((height, width), (x1, y1, x2, y2), draw(st.sampled_from([1.0, 0.7, 1.5])), draw(st.booleans()))


@settings(max_examples=80, deadline=None)
@given(studies(), st.integers(0, 2**31), st.booleans())
def test_boxes_and_masks_move_with_the_pixels(before: Study, seed: int, flip: bool) -> None:
    part = AugmentPart(shift=0.1, scale=0.2, rotate=12, brightness=0.0, flip=float(flip))
    after = augmented(before, part, np.random.default_rng(seed))
    width, height = after.image.size
    assert after.image.size == before.image.size
    (label, absent) = after.labels
    bright = after.image.pixels > 0.5
    (seen,) = of_mask(bright)
    (box,) = label.boxes
    assert (box >= 0).all()
    assert (box <= [width, height, width, height]).all()
    if label.masks is None:
        assert (box[:2] <= seen[:2] + 1.5).all()  # the hull holds all that is bright
        assert (box[2:] >= seen[2:] - 1.5).all()
    else:
        assert np.array_equal(label.masks[0], bright)
        assert np.array_equal(box, seen)
    assert len(absent.boxes) == 0
    assert (label.phrase.side == Side.RIGHT) == flip
    for changed in after.labels:
        assert changed.phrase.span is not None
        assert after.report[slice(*changed.phrase.span)] == changed.phrase.text


@settings(max_examples=100, deadline=None)
@given(WORDS, st.data())
def test_spans_follow_exchanged_words(words: list[str], data: st.DataObject) -> None:
    report = " ".join(words)
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    start = len(" ".join(words[:first])) + (first > 0)
    text = " ".join(words[first : last + 1])
    phrase = Phrase(text=text, span=(start, start + len(text)))
    image = Radiograph(np.zeros((4, 4), np.float32))
    before = Study(image, report, labels=(LabelledPhrase(phrase, np.zeros((0, 4))),))
    after = mirrored_words(before)
    (label,) = after.labels
    assert label.phrase.span is not None
    assert after.report[slice(*label.phrase.span)] == label.phrase.text == mirrored_text(text)
    assert mirrored_words(after) == before or mirrored_words(after).report == report


def test_words_are_exchanged_in_their_case_and_others_left() -> None:
    assert mirrored_text("Left LLL opacity, upright; RIGHT-sided rightward, bright.") == (
        "Right RLL opacity, upright; LEFT-sided leftward, bright."
    )
    assert not can_be_mirrored(Study(Radiograph(np.zeros((4, 4), np.float32)), "Lingular opacity."))
    bound = Study(Radiograph(np.zeros((4, 4), np.float32)), "Opacity in the right middle lobe.")
    assert augmented(bound, AugmentPart(flip=1.0), np.random.default_rng(0)).report == bound.report


def test_a_draw_is_the_same_for_the_same_generator_and_off_does_nothing() -> None:
    before = study((64, 64), (10, 20, 40, 50))
    one, two = (augmented(before, AugmentPart(), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.image.pixels, two.image.pixels)
    assert not np.array_equal(one.image.pixels, before.image.pixels)
    still = AugmentPart(shift=0, scale=0, rotate=0, brightness=0)
    same = augmented(before, still, np.random.default_rng(5))
    assert np.allclose(same.image.pixels, before.image.pixels, atol=1e-6)
    assert np.array_equal(same.labels[0].boxes, before.labels[0].boxes)


@pytest.mark.slow
def test_a_recipe_with_it_trains_and_caches_no_training_image(tmp_path: Path) -> None:
    data = {**TINY["data"], "folder": str(tmp_path / "data")}
    values = {**TINY, "data": data, "augment": {"flip": 0.5}, "train": {"steps": 2, "batch": 2, "lr": 1e-3}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    told: list[str] = []
    run = train(tmp_path / "r.yaml", (), tmp_path / "runs", told.append)
    assert (run / "model" / "model.safetensors").is_file()
    assert any("4 images" in line for line in told if line.startswith("features:"))  # those validated on
    with pytest.raises(RecipeError, match=r"machine\.workers: 0"):
        read_recipe(tmp_path / "r.yaml", ["language_model={id: x}", "spoken=0", "machine.workers=2"])
