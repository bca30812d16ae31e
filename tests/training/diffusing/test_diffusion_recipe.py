"""Recipes of diffusion models: the shipped ones parse, and wrong ones are refused in plain words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiny_recipe import write

from knowmvg.core.errors import RecipeError
from knowmvg.training.diffusion.recipe import DiffusionRecipe
from knowmvg.training.recipe import read_recipe_of, write_recipe

RECIPES = Path(__file__).parents[3] / "recipes"
SHIPPED = [path for path in sorted(RECIPES.glob("*.yaml")) if "\nsystem: diffusion\n" in path.read_text()]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_parse(path: Path) -> None:
    assert read_recipe_of(DiffusionRecipe, path).name == path.stem


def test_the_two_recipes_are_shipped() -> None:
    assert {path.stem for path in SHIPPED} == {"diffusion-demo", "generate-to-ground"}


def test_every_value_of_the_reference_has_its_source() -> None:
    lines = (RECIPES / "generate-to-ground.yaml").read_text().split("\nsystem: diffusion\n")[1].splitlines()
    values = [line for line in lines if not line.endswith(":") and not line.startswith("name:")]
    assert len(values) > 30
    assert [line for line in values if not re.search(r"# \[(code|sd|own)\]", line)] == []


def test_a_resolved_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = read_recipe_of(DiffusionRecipe, write(tmp_path), ["noise.min_snr=5", "noise.prediction=v_prediction"])
    write_recipe(recipe, tmp_path / "resolved.yaml")
    assert read_recipe_of(DiffusionRecipe, tmp_path / "resolved.yaml") == recipe


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("noise.gama=1", "unknown key noise.gama"),
        ("base={name: x}", "one of base and scratch"),
        ("lora={}", "lora needs a base"),
        ("noise.zero_terminal_snr=true", "needs prediction v_prediction"),
        ("captions.dropout=1", "captions.dropout"),
        ("captions.kinds={title: 1}", "captions.kinds"),
        ("scratch.side=33", "cannot be halved"),
        ("encoding.masked_attention=false", "the batch decides the states"),
        ("data.masked=other", "no part of a diffusion model learns from masks"),
        ("read.window=[3, 2]", "window"),
        ("noise.times=[0.5, 0.5]", "rising shares"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, change: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe_of(DiffusionRecipe, write(tmp_path), [change])
    assert said in str(caught.value)


def test_a_recipe_of_another_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="system: diffusion"):
        read_recipe_of(DiffusionRecipe, RECIPES / "demo.yaml")


def test_every_key_says_what_it_is() -> None:
    def undescribed(part: type, path: str = "") -> list[str]:
        found = []
        for name, field in part.model_fields.items():
            inner = [a for a in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(a, type)]
            parts = [a for a in inner if a.__module__.startswith("knowmvg.training") and hasattr(a, "model_fields")]
            found += (
                [f"{path}{name}"] if not parts and not field.description and name not in ("train", "schedule") else []
            )
            for one in parts:
                found += undescribed(one, f"{path}{name}.")
        return found

    assert undescribed(DiffusionRecipe) == []
