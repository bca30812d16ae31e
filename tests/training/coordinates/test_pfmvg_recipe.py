"""PFMVG's recipe has the paper's values; its crops leave no box behind."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.boxtext.codec import PFMVG
from knowmvg.core.boxtext.views import Fit, View
from knowmvg.training.coordinates.crops import random_part
from knowmvg.training.coordinates.recipe import CaptionStage, CosinePart, GroundingStage, PfmvgRecipe
from knowmvg.training.coordinates.sizes import ScratchPart
from knowmvg.training.recipe import read_recipe_of

VIEW = View(Fit.SQUASH, (448, 448))
RECIPES = Path(__file__).parents[3] / "recipes"


def test_values_of_the_paper():
    recipe = read_recipe_of(PfmvgRecipe, RECIPES / "pfmvg.yaml")
    one, two = recipe.caption, recipe.grounding
    assert (one.epochs, one.batch, one.lr, one.last_lr, one.weight_decay) == (3, 2, 1e-4, 8e-5, 0.05)
    assert (two.epochs, two.batch, two.lr, two.last_lr) == (50, 4, 3e-5, 1e-5)
    lora = recipe.base.lora
    assert (lora.r, lora.alpha, lora.dropout, lora.targets) == (64, 16, 0.05, ("q_proj", "v_proj"))
    assert (recipe.base.picture, recipe.codec, recipe.projection) == (448, PFMVG, True)
    assert (recipe.caption, recipe.grounding) == (CaptionStage(data=one.data), GroundingStage())  # the defaults too


def test_a_recipe_comes_back_from_json_and_refuses_what_it_does_not_know():
    recipe = PfmvgRecipe(system="coordinates", name="x", scratch=ScratchPart())
    assert PfmvgRecipe.model_validate_json(recipe.model_dump_json(by_alias=True)) == recipe
    assert recipe.scratch.lora.model_dump() == {"r": 64, "alpha": 16, "dropout": 0.05, "targets": ("q_proj", "v_proj")}
    for wrong, said in (
        ({"flip": True}, "Extra"),
        ({"grounding": {"lr": 1e-5, "last_lr": 1e-4}}, "falls"),
        ({"scratch": None, "projection": False, "base": {"id": "b", "lora": None}}, "neither"),
        ({"base": {"id": "b"}}, "one of base and scratch"),
        ({"caption": {"data": []}}, "at least 1"),
    ):
        with pytest.raises(ValueError, match=said):
            PfmvgRecipe.model_validate(recipe.model_dump(by_alias=True) | wrong)


def test_the_rate_falls_along_half_a_cosine():
    part = CosinePart(epochs=1, batch=1, lr=1e-4, last_lr=8e-5, warmup=2)
    rates = [part.rate(step, 12) for step in range(12)]
    assert rates[:3] == pytest.approx([5e-5, 1e-4, 1e-4])
    assert rates[-1] == pytest.approx(8e-5)
    assert sorted(rates[2:], reverse=True) == rates[2:]
    assert part.rate(2 + 4, 11) == pytest.approx(9e-5)  # half way


@given(
    st.tuples(st.integers(20, 3000), st.integers(20, 3000)),
    st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=3),
    st.floats(0.05, 1),
    st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_a_crop_keeps_every_box_whole_and_shows_nothing_beyond_the_image(stored, shares, least, seed):
    boxes = [
        (min(a, c) * stored[0], min(b, d) * stored[1], max(a, c) * stored[0], max(b, d) * stored[1])
        for a, b, c, d in shares
    ]
    frame = VIEW.frame(stored, part=random_part(stored, boxes, least, Random(seed)))
    seen = frame.to_canvas(boxes)
    assert (seen >= -1e-6).all()
    assert (seen <= 448 + 1e-6).all()
    np.testing.assert_allclose(frame.to_stored(seen), np.reshape(boxes, (-1, 4)), atol=1e-6)
    shown = frame.to_stored([[0, 0, 448, 448]], clip=False)[0]
    assert (shown[:2] >= -1e-6).all()
    assert (shown[2:] <= np.array(stored) + 1e-6).all()
    assert (shown[2:] - shown[:2] >= least * np.array(stored) - 1e-6).all()


def test_the_whole_image_is_a_crop_too():
    frame = VIEW.frame((640, 480), part=random_part((640, 480), [], 1.0, Random(0)))
    assert frame.scale == pytest.approx((0.7, 448 / 480))
    assert frame.offset == pytest.approx((0, 0))
