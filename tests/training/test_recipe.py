"""Recipes: the shipped ones parse, wrong ones are refused in plain words, and the page of keys is up to date."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from knowmvg.core.errors import RecipeError
from knowmvg.nn.knowledge_prompts import KnowledgeConfig
from knowmvg.training.prompted.recipe import Recipe
from knowmvg.training.recipe import keys_of, read_recipe, sections, write_recipe
from knowmvg.training.recipe_page import page, write_page

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "recipes").glob("*.yaml"))
DEMO = ROOT / "recipes" / "demo.yaml"
SMALL = """
name: small
segmenter: {schedule: {steps: 2, batch: 2, lr: 1.0e-3}}
language: {schedule: {steps: 2, batch: 2, lr: 1.0e-3}}
train: {steps: 2, batch: 2, lr: 1.0e-3}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def refused(path: Path, *overrides: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, overrides)
    return caught.value


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_parse(path):
    assert read_recipe(path).name


def test_the_demo_recipe_is_shipped():
    assert DEMO in SHIPPED


def test_a_resolved_recipe_reads_back_the_same(small, tmp_path):
    recipe = read_recipe(small, ["variant.knowledge={k: 3}", "train.validate=5"])
    write_recipe(recipe, tmp_path / "resolved.yaml")
    assert read_recipe(tmp_path / "resolved.yaml") == recipe
    assert recipe.train.validate_ == 5


def test_overrides_are_yaml_values_at_any_depth(small):
    recipe = read_recipe(small, ["train.steps=7", "image_encoder.widths=[8, 16, 32]", "variant.knowledge.k=2"])
    assert recipe.train.steps == 7
    assert recipe.image_encoder.widths == (8, 16, 32)
    assert recipe.variant.knowledge is not None
    assert recipe.variant.knowledge.k == 2


def test_a_recipe_extends_another_one(small, tmp_path):
    (tmp_path / "sub").mkdir()
    top = tmp_path / "sub" / "top.yaml"
    top.write_text("extends: ../small.yaml\nname: top\ntrain: {steps: 9}\n", encoding="utf-8")
    recipe = read_recipe(top)
    assert (recipe.name, recipe.train.steps, recipe.train.batch) == ("top", 9, 2)


def test_of_several_that_it_extends_the_last_has_the_last_word(small, tmp_path):
    (tmp_path / "part.yaml").write_text("data: {folder: other}\ntrain: {lr: 0.5, batch: 7}\n", encoding="utf-8")
    top = tmp_path / "top.yaml"
    top.write_text("extends: [small.yaml, part.yaml]\nname: top\ntrain: {batch: 9}\n", encoding="utf-8")
    recipe = read_recipe(top)
    assert (recipe.name, recipe.train.steps, recipe.train.lr, recipe.train.batch) == ("top", 2, 0.5, 9)
    assert str(recipe.data.folder) == "other"
    top.write_text("extends: [part.yaml, small.yaml]\nname: top\n", encoding="utf-8")
    assert (read_recipe(top).train.lr, read_recipe(top).train.batch) == (1e-3, 2)


def test_the_stages_that_another_part_replaces_need_not_be_said(tmp_path):
    path = tmp_path / "least.yaml"
    path.write_text("name: least\ntrain: {steps: 2, batch: 2, lr: 1.0e-3}\n", encoding="utf-8")
    recipe = read_recipe(path)
    assert isinstance(recipe, Recipe)
    assert recipe.speaks_itself
    keys = ["language_model={id: x}", "spoken=0"]
    assert not read_recipe(path, keys).speaks_itself
    assert read_recipe(path, [*keys, "variant.knowledge={}"]).speaks_itself  # it reads the texts of the nodes
    assert not read_recipe(path, [*keys, "variant.knowledge={texts: {encoder: roberta-base}}"]).speaks_itself


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("variant={score: agreement}", "hypotheses: 3"),
        ("variant={attention: global-local, coarse: trained}", "coarse: none"),
        ("variant={decoder: mask, hypotheses: 3}", "one hypothesis"),
        ("objective.l1_beta=-1", "objective.l1_beta"),
        ("answer.batch_size=0", "answer.batch_size"),
    ],
)
def test_choices_that_contradict_each_other_are_refused(small, override, words):
    assert words in str(refused(small, override))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.stepz=3", "train.stepz"),
        ("colour=blue", "colour"),
        ("train.steps=many", "train.steps"),
        ("train.steps=0", "train.steps"),
        ("train.lr=.nan", "train.lr"),
        ("train.lr=.inf", "train.lr"),
        ("seed=-1", "seed"),
        ("data.size=32", "data.size"),
        ("name=../up", "name"),
        ("variant.head=round", "variant.head"),
        ("losses.box=1", "box_l1"),
        ("losses={text: .nan}", "losses.text"),
        ("language.image_tokens=5", "image_tokens"),
        ("segmenter.heads=3", "segmenter.heads"),
        ("image_encoder.widths=[8, 16, 33]", "image_encoder"),
        ("data.splits=[1, 0]", "data.splits"),
        ("name.first=3", "name is a value"),
    ],
)
def test_a_wrong_value_is_named(small, override, words):
    assert words in str(refused(small, override))


def test_the_mask_decoder_refuses_global_local_attention(small):
    assert "LISA" in refused(small, "variant.decoder=mask", "variant.attention=global-local").got


def test_a_misspelt_key_gets_a_suggestion(small):
    assert "train.steps" in refused(small, "train.stepz=3").todo


@pytest.mark.parametrize("override", ["train.steps", "=3", "train.=3", ".steps=3", ""])
def test_an_override_needs_a_key_and_a_value(small, override):
    assert "key=value" in refused(small, override).expected


@pytest.mark.parametrize("value", ["[", "{a: 1", "'open", "!!python/object:os.system x", "2026-13-45", "[" * 5000])
def test_malformed_yaml_in_an_override_is_a_recipe_error(small, value):
    error = refused(small, f"train.steps={value}")
    assert "YAML" in error.expected
    assert len(error.got) < 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "wrong.yaml"),
        ("", "nothing in"),
        ("- a\n- b\n", "list"),
        ("extends: 3\n", "extends"),
        ("extends: []\n", "extends"),
        ("a: *b", "b"),
    ],
)
def test_malformed_files_are_recipe_errors(tmp_path, text, words):
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    assert words in str(refused(path))


def test_a_missing_file_a_folder_and_bytes_are_recipe_errors(tmp_path):
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00name")
    for path in (tmp_path / "none.yaml", tmp_path, binary):
        assert str(path) in str(refused(path))


def test_a_missing_base_is_named(tmp_path):
    path = tmp_path / "top.yaml"
    path.write_text("extends: gone.yaml\n", encoding="utf-8")
    assert "gone.yaml" in refused(path).got


def test_a_circle_is_named(tmp_path):
    for name, base in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {base}.yaml\n", encoding="utf-8")
    assert "circle" in refused(tmp_path / "a.yaml").got


def test_a_long_chain_is_refused(tmp_path):
    for place in range(8):
        (tmp_path / f"{place}.yaml").write_text(f"extends: {place + 1}.yaml\n", encoding="utf-8")
    assert "at most" in refused(tmp_path / "0.yaml").expected


def test_the_page_of_keys_is_up_to_date():
    found = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert found == page(), "run: python -m knowmvg.training.recipe docs/recipes.md"


def test_every_key_has_a_meaning():
    for name, part in sections(Recipe):
        for field in part.model_fields.values():
            nested = isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields")
            assert nested or field.description, f"{name}: {field}"
        assert keys_of(part)


def test_the_page_is_written_whole(tmp_path):
    write_page(tmp_path / "recipes.md")
    assert [path.name for path in tmp_path.iterdir()] == ["recipes.md"]
    assert (tmp_path / "recipes.md").read_text(encoding="utf-8") == page()


NEW = ("texts", "layers", "relations", "relational", "query", "control")


def test_a_run_s_recipe_from_before_the_graph_s_keys_is_equal_to_what_it_says_now(small, tmp_path):
    recipe = read_recipe(small, ["variant.knowledge={k: 3, weighting: softmax}"])
    write_recipe(recipe, tmp_path / "now.yaml")
    values = yaml.safe_load((tmp_path / "now.yaml").read_text(encoding="utf-8"))
    for key in NEW:
        del values["variant"]["knowledge"][key]
    (tmp_path / "before.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert read_recipe(tmp_path / "before.yaml") == recipe


def test_what_a_model_is_built_of_is_what_the_recipe_says(small):
    options = "{k: 2, layers: 2, relations: {located_in: 0.5}, relational: true, query: answer, control: random-graph}"
    part = read_recipe(small, [f"variant.knowledge={options}"]).variant.knowledge
    assert part is not None
    config = KnowledgeConfig(**part.model_values())
    assert (config.k, config.layers, config.relational, config.query) == (2, 2, True, "answer")
    assert config.relations == {"located_in": 0.5}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("{control: shuffled}", "variant.knowledge.control"),
        ("{layers: 0}", "variant.knowledge.layers"),
        ("{relations: {}}", "variant.knowledge.relations"),
        ("{relations: {located_in: 0}}", "positive"),
        ("{relations: {located_in: -1}}", "positive"),
        ("{query: words}", "variant.knowledge.query"),
        ("{texts: {pooling: max}}", "variant.knowledge.texts.pooling"),
        ("{texts: {pooling: cls}}", "language"),
        ("{texts: {revision: main}}", "language"),
        ("{texts: {encoder: ''}}", "variant.knowledge.texts.encoder"),
    ],
)
def test_wrong_knowledge_is_named(small, options, words):
    assert words in str(refused(small, f"variant.knowledge={options}"))
