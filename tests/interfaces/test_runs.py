"""What train, evaluate and ablate do with runs and data sets, short of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.errors import ManifestError, ModelError, RecipeError
from knowmvg.interfaces.cli import ablate, ablation_rows
from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.interfaces.cli.main import main
from knowmvg.interfaces.cli.runs import data_folder, model_folder
from knowmvg.sources.manifest import StudyRow

RECIPE = Path(__file__).parents[2] / "recipes" / "demo.yaml"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    Image.fromarray(np.full((40, 50), 128, dtype=np.uint8)).save(tmp_path / "a.png")
    rows = [
        StudyRow(id=f"s{k}", patient=f"p{k}", split="test", image="a.png", width=50, height=40, report=f"Report {k}.")
        for k in range(3)
    ]
    text = "".join(row.model_dump_json(by_alias=True) + "\n" for row in rows)
    (tmp_path / "manifest.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_labelled_studies_are_a_sequence(data):
    studies = LabelledStudies(data, "test")
    assert len(studies) == 3
    assert [study.id for study in studies] == ["s0", "s1", "s2"]
    assert [study.id for study in studies[1:]] == ["s1", "s2"]
    assert studies[-1].image.size == (50, 40)


def test_an_empty_split_and_a_lost_image_are_told(data):
    with pytest.raises(ManifestError, match="split 'val'"):
        LabelledStudies(data, "val")
    studies = LabelledStudies(data, "test")
    (data / "a.png").unlink()
    with pytest.raises(ManifestError, match="image of study s0"):
        _ = studies[0]


def test_a_run_and_a_model_folder_are_both_accepted(tmp_path):
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    with pytest.raises(ModelError, match="no config"):
        model_folder(tmp_path / "run")
    (model / "config.json").write_text("{}")
    assert model_folder(tmp_path / "run") == model_folder(model) == model


def test_the_data_set_is_the_one_given_or_the_run_s_own(tmp_path):
    assert data_folder(tmp_path, Path("given")) == Path("given")
    with pytest.raises(RecipeError, match="--data"):
        data_folder(tmp_path, None)
    (tmp_path / "recipe.yaml").write_text(f"extends: {RECIPE}\ndata: {{folder: own}}\n", encoding="utf-8")
    assert data_folder(tmp_path, None) == Path("own")


@pytest.mark.parametrize("name", [*ablation_rows.TABLE, *ablation_rows.CONTROLS])
@pytest.mark.parametrize("head", ["token", "edge", "extent"])
@pytest.mark.parametrize("knowledge", ["variant.knowledge=null", "variant.knowledge={k: 3}"])
def test_every_row_is_a_valid_recipe_of_its_parts(name, head, knowledge):
    from knowmvg.training.prompted.recipe import KnowledgePart
    from knowmvg.training.recipe import read_recipe

    parts = ablation_rows.ROWS[name]
    base = read_recipe(RECIPE, [knowledge])
    overrides = [knowledge, *parts.overrides(base.variant.knowledge is not None), f"variant.head={head}"]
    recipe = read_recipe(RECIPE, overrides)
    variant = recipe.variant
    assert (variant.knowledge is not None, variant.attention == "global-local") == (parts.kps, parts.gla)
    assert (variant.decoder, variant.head) == (parts.decoder, head)
    if parts.kps:
        kept = base.variant.knowledge or KnowledgePart()
        assert variant.knowledge == kept.model_copy(update={"control": parts.control or "none"})
    assert recipe.train == base.train


def test_the_controls_are_knowmvg_but_for_their_graph():
    whole = ablation_rows.ROWS["knowmvg"].overrides(True)
    for name in ("random-graph", "permuted-texts"):
        assert ablation_rows.ROWS[name].overrides(True) == [*whole, f"variant.knowledge.control={name}"]
        assert name not in ablation_rows.TABLE


@pytest.mark.parametrize("name", ablation_rows.OPTIONS)
def test_an_option_is_knowmvg_with_one_choice_made_otherwise(name):
    from knowmvg.training.recipe import read_recipe

    path = RECIPE.with_name("ablation.yaml")
    parts = ablation_rows.OPTIONS[name]
    whole = read_recipe(path, ablation_rows.ROWS["knowmvg"].overrides(True))
    other = read_recipe(path, parts.overrides(True))
    changed = {key.partition("=")[0].split(".")[0] for key in parts.keys}
    differing = {key for key in type(whole).model_fields if getattr(whole, key) != getattr(other, key)}
    assert differing == changed  # no row is the default under another name
    assert read_recipe(path, [key for key in parts.overrides(True) if key not in parts.keys]) == whole


def test_a_group_stands_for_its_rows():
    assert ablation_rows.chosen_rows("table") == list(ablation_rows.TABLE)
    assert ablation_rows.chosen_rows("options, baseline") == ["knowmvg", *ablation_rows.OPTIONS, "baseline"]
    with pytest.raises(RecipeError, match="different rows"):
        ablation_rows.chosen_rows("options,knowmvg")


@pytest.mark.parametrize("rows", ["", "kps,gla2", "kps,kps"])
def test_wrong_rows_are_refused_before_anything_starts(rows, tmp_path):
    assert main(["ablate", str(RECIPE), "--out", str(tmp_path / "out"), "--rows", rows]) == 6
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("override", ["seed", "train.stepps=3", "train.steps=many", "seed.deep=1"])
@pytest.mark.parametrize("command", ["train", "ablate"])
def test_a_wrong_override_ends_with_6_and_leaves_no_run(command, override, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")] if command == "ablate" else []
    runs = tmp_path / "runs"
    assert main([command, str(RECIPE), override, *out, "--runs", str(runs)]) == 6
    assert "what to do" in capsys.readouterr().err
    assert not runs.exists()


def test_a_stopped_training_ends_with_130(tmp_path, monkeypatch, capsys):
    from knowmvg.training import run
    from knowmvg.training.trainer import Stopped

    def stopped(*_: object, **__: object) -> Path:
        raise Stopped("train stopped at step 7; the same command goes on from there")

    monkeypatch.setattr(run, "train", stopped)
    assert main(["train", str(RECIPE), "--runs", str(tmp_path)]) == 130
    assert "goes on from there" in capsys.readouterr().err


def test_a_finished_run_of_another_recipe_is_not_mixed_in(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "recipe.yaml").write_text(f"extends: {RECIPE}\n", encoding="utf-8")
    assert ablate._is_trained(tmp_path, RECIPE, [])
    with pytest.raises(RecipeError, match="another one"):
        ablate._is_trained(tmp_path, RECIPE, ["seed=3"])
    with pytest.raises(RecipeError, match="another one"):
        ablate._is_trained(tmp_path, RECIPE, ["machine.precision=bf16"])
    assert ablate._is_trained(tmp_path, RECIPE, ["threads=2", "machine.device=cpu"])  # computed elsewhere, the same
    assert not ablate._is_trained(tmp_path / "new", RECIPE, [])
