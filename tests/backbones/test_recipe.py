"""``knowmvg train`` of a recipe that names a language model, from nothing to a grounding."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from knowmvg.core.errors import RecipeError
from knowmvg.grounders.store import load_grounder
from knowmvg.nn.sam_image_encoder import SamImageEncoder
from knowmvg.sources.manifest import load_study, read_rows
from knowmvg.training.prompted.frozen_parts import fitting_sam
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.recipe import read_recipe
from knowmvg.training.run import train
from tests.segmenters.tiny_sam import SIDE, tiny_sam
from tests.tiny import TINY


def recipe(tmp_path: Path, folder: Path, **more: object) -> Path:
    path = tmp_path / "recipe.yaml"
    said = {"id": str(folder), "dtype": "float32", "checkpointing": True}
    values = {**TINY, "data": {**TINY["data"], "folder": str(tmp_path / "data")}, "spoken": 0, "language_model": said}
    path.write_text(yaml.safe_dump({**values, **more}), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_recipe_with_a_language_model_and_a_sam_trains_and_grounds(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    tiny_sam().save_pretrained(tmp_path / "sam")
    sizes = {**TINY["image_encoder"], "canvas": SIDE, "channels": 32}
    path = recipe(tmp_path, folders("smolvlm"), sam={"id": str(tmp_path / "sam")}, image_encoder=sizes)
    run = train(path, runs=tmp_path / "runs", report=lambda _: None)
    grounder = load_grounder(run / "model")
    held = load_file(run / "model" / "model.safetensors")
    assert not [name for name in held if name.startswith(("vlm.", "image_encoder.", "segmenter."))]
    assert isinstance(grounder.model.image_encoder, SamImageEncoder)
    assert grounder.backbone is not None
    assert grounder.backbone.part.id == str(folders("smolvlm"))
    (checkpoint, *_) = sorted((run / "train").glob("checkpoint-*"))
    kept = set(load_file(checkpoint / "model.safetensors"))
    trained = {f"model.{name}" for name in grounder.trainable()}
    assert trained <= kept
    assert {name for name in kept if name.startswith(("model.vlm.", "model.segmenter."))} <= trained
    row = next(iter(read_rows(tmp_path / "data")))
    study = load_study(tmp_path / "data", row)
    (grounding,) = grounder.ground([study])
    assert grounding.image_size == study.image.size
    parts = sorted(folder.name.partition("-")[0] for folder in (tmp_path / "runs" / "parts").iterdir())
    assert parts == ["features", "frozen", "language", "leaks", "nodes", "tokens", "words"]  # no segmenter was trained


def test_the_sizes_of_a_sam_are_asked_for(folders: Callable[[str], Path], tmp_path: Path) -> None:
    tiny_sam().save_pretrained(tmp_path / "sam")
    read = read_recipe(recipe(tmp_path, folders("llava"), sam={"id": str(tmp_path / "sam")}))
    assert isinstance(read, Recipe)
    assert read.sam is not None
    with pytest.raises(RecipeError, match=r"image_encoder.canvas=64 image_encoder.channels=32"):
        fitting_sam(read, read.sam)


def test_reports_without_an_image_are_not_for_a_language_model(folders: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="spoken: 0"):
        read_recipe(recipe(tmp_path, folders("llava"), spoken=1))


def test_its_keys_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"language_model\.lora\.rank"):
        read_recipe(recipe(tmp_path, tmp_path, language_model={"id": "x", "lora": {"rank": 2}}))
