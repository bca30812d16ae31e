"""The published result: what it refuses, and that JSON carries it whole."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from pydantic import ValidationError

from knowmvg.core.errors import ImageError, KnowmvgError
from knowmvg.core.records import (
    SCHEMA_VERSION,
    Assertion,
    Evidence,
    GroundedPhrase,
    Grounding,
    KnowledgeNode,
    LabelledPhrase,
    Phrase,
    Radiograph,
    Region,
    Section,
    Side,
    Study,
)
from knowmvg.core.schema import grounding_schema, schema_text, write_schema

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "grounding.schema.json"


@pytest.fixture
def grounding():
    evidence = Evidence(
        knowledge=(KnowledgeNode(text="pleural effusion", similarity=0.9, neighbours=("left lung base",)),),
        local_boxes=((1, 2, 30, 40),),
        global_box=(1, 2, 31, 41),
        gate=0.25,
        source="both",
    )
    placed = GroundedPhrase(
        text="small left effusion, étroit",
        span=(3, 22),
        section=Section.FINDINGS,
        assertion=Assertion.POSSIBLE,
        finding="pleural effusion",
        side=Side.LEFT,
        zone="basal",
        boxes=(Region(xyxy=(1.5, 2.25, 30, 40), score=0.5), Region(xyxy=(0, 0, 64, 48), score=1)),
        evidence=evidence,
    )
    absent = GroundedPhrase(text="no pneumothorax", assertion=Assertion.ABSENT, reason="absent")
    return Grounding(
        image_size=(64, 48), phrases=(placed, absent), model="demo", versions={"knowmvg": "0"}, warnings=("mirrored",)
    )


def test_json_round_trip_loses_nothing(grounding):
    assert Grounding.model_validate_json(grounding.to_json()) == grounding
    assert Grounding.model_validate(json.loads(grounding.to_json())) == grounding


def test_a_grounding_follows_the_published_schema(grounding):
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(grounding.to_json()), schema)
    jsonschema.validate(json.loads(Grounding(image_size=(1, 1), model="m").to_json()), schema)


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": [64]},
        {"model": 3},
        {"unknown": 1},
        {"schema_version": "9.9"},
        {"phrases": [{"text": "x", "assertion": "perhaps", "reason": "r"}]},
        {"phrases": [{"text": "x", "boxes": [{"xyxy": [0, 0, 1], "score": 0.5}]}]},
        {"phrases": [{"text": "x", "boxes": [{"xyxy": [0, 0, 1, 1], "score": 1.5}]}]},
    ],
)
def test_schema_and_model_refuse_the_same(grounding, change):
    wrong = {**json.loads(grounding.to_json()), **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, grounding_schema())
    with pytest.raises(ValidationError):
        Grounding.model_validate(wrong)


def test_the_published_schema_is_up_to_date(tmp_path):
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), (
        "run: python -m knowmvg.core.schema docs/grounding.schema.json"
    )
    write_schema(tmp_path / "schema.json")
    assert [path.name for path in tmp_path.iterdir()] == ["schema.json"]
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == schema_text()


def test_the_version_is_written(grounding):
    assert json.loads(grounding.to_json())["schema_version"] == SCHEMA_VERSION


def box(*xyxy, score=0.5):
    return Region(xyxy=xyxy, score=score)


@pytest.mark.parametrize(
    "make",
    [
        lambda: box(3, 0, 2, 1),
        lambda: box(0, 3, 1, 2),
        lambda: box(0, 0, float("nan"), 1),
        lambda: box(0, 0, float("inf"), 1),
        lambda: box(0, 0, 1, 1, score=-0.1),
        lambda: box(0, 0, 1, 1, score=float("nan")),
        lambda: Phrase(text=""),
        lambda: Phrase(text="x", span=(4, 4)),
        lambda: Phrase(text="x", span=(-1, 4)),
        lambda: Phrase(text="x", assertion="maybe"),
        lambda: Phrase(text="x", colour="red"),
        lambda: GroundedPhrase(text="x"),
        lambda: GroundedPhrase(text="x", reason=""),
        lambda: Evidence(gate=1.1),
        lambda: KnowledgeNode(text="x", similarity=float("nan")),
        lambda: Grounding(image_size=(0, 5), model="m"),
        lambda: Grounding(image_size=(5, 5), model="m", phrases=[GroundedPhrase(text="x", boxes=[box(0, 0, 6, 5)])]),
        lambda: Grounding(image_size=(5, 5), model="m", phrases=[GroundedPhrase(text="x", boxes=[box(-1, 0, 5, 5)])]),
        lambda: Grounding(image_size=(5, 5), model="m", schema_version="0.1"),
    ],
)
def test_records_refuse_what_makes_no_sense(make):
    with pytest.raises(ValidationError):
        make()


def test_records_are_frozen(grounding):
    with pytest.raises(ValidationError, match="frozen"):
        grounding.model = "other"


def test_only_what_is_visible_is_placed():
    assert {a for a in Assertion if a.placed} == {Assertion.PRESENT, Assertion.POSSIBLE}


def test_a_radiograph_is_grey_and_float32():
    assert Radiograph(np.zeros((4, 6), np.float32)).size == (6, 4)
    for pixels in (np.zeros((4, 6, 3), np.float32), np.zeros((4, 6)), np.zeros((0, 6), np.float32)):
        with pytest.raises(ValueError, match="expected"):
            Radiograph(pixels)


def test_labels_have_one_mask_a_box():
    phrase = Phrase(text="nodule")
    assert LabelledPhrase(phrase, []).boxes.shape == (0, 4)
    assert LabelledPhrase(phrase, [1, 2, 3, 4], np.ones((1, 8, 8), bool)).boxes.shape == (1, 4)
    with pytest.raises(ValueError, match="one mask a box"):
        LabelledPhrase(phrase, [1, 2, 3, 4], np.ones((2, 8, 8), bool))
    assert Study(Radiograph(np.zeros((4, 6), np.float32)), "report").labels == ()


def test_errors_say_what_was_expected_what_came_and_what_to_do():
    error = ImageError("a radiograph", "a CT", "Give a radiograph.")
    assert str(error) == "expected a radiograph; got a CT. Give a radiograph."
    kinds = KnowmvgError.__subclasses__()
    assert len({kind.exit_code for kind in kinds}) == len(kinds)
    assert all(kind.exit_code > 1 for kind in kinds)
