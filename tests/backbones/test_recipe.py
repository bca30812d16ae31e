"""``knowmvg train`` of a recipe that names a language model, from nothing to a grounding."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from knowmvg.core.errors import RecipeError
from knowmvg.grounders.store import load_grounder
from knowmvg.sources.manifest import load_study, read_rows
from knowmvg.training.recipe import read_recipe
from knowmvg.training.run import train
from tests.tiny import TINY


def recipe(tmp_path: Path, folder: Path, **more: object) -> Path:
    path = tmp_path / "recipe.yaml"
    said = {"id": str(folder), "dtype": "float32", "checkpointing": True}
    values = {**TINY, "data": {**TINY["data"], "folder": str(tmp_path / "data")}, "spoken": 0, "language_model": said}
    path.write_text(yaml.safe_dump({**values, **more}), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_recipe_with_a_language_model_trains_and_grounds(folders: Callable[[str], Path], tmp_path: Path) -> None:
    run = train(recipe(tmp_path, folders("llava")), runs=tmp_path / "runs", report=lambda _: None)
    grounder = load_grounder(run / "model")
    assert grounder.backbone is not None
    assert grounder.backbone.part.id == str(folders("llava"))
    row = next(iter(read_rows(tmp_path / "data")))
    study = load_study(tmp_path / "data", row)
    (grounding,) = grounder.ground([study])
    assert grounding.image_size == study.image.size
    assert len(list((tmp_path / "runs" / "parts").glob("tokens-*/tokens.npy"))) == 1


def test_reports_without_an_image_are_not_for_a_language_model(folders: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="spoken: 0"):
        read_recipe(recipe(tmp_path, folders("llava"), spoken=1))


def test_its_keys_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"language_model\.lora\.rank"):
        read_recipe(recipe(tmp_path, tmp_path, language_model={"id": "x", "lora": {"rank": 2}}))
