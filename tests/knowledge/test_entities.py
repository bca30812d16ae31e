"""Entities of the training records: nothing negated, nothing of another split, no report text."""

import json

import pytest

from knowmvg.core.records import Assertion, Phrase, Side
from knowmvg.knowledge.entities import extract_entities
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.sources.manifest import read_rows

ATLAS = load_atlas()


def texts(*phrases):
    return list(extract_entities(phrases, ATLAS))


def test_general_worded_and_located():
    phrase = Phrase(text="right lower lobe airspace consolidation", finding="consolidation", side=Side.RIGHT)
    assert texts(phrase) == [
        "airspace consolidation",
        "consolidation",
        "right consolidation",
        "right lower lobe consolidation",
    ]


@pytest.mark.parametrize("assertion", [a for a in Assertion if not a.placed])
def test_phrases_that_are_not_placed_give_nothing(assertion):
    assert texts(Phrase(text="left pleural effusion", finding="pleural effusion", assertion=assertion)) == []


def test_possible_findings_count():
    assert texts(Phrase(text="possible pneumonia", assertion=Assertion.POSSIBLE)) == ["pneumonia"]


def test_an_entity_of_the_test_split_does_not_appear(tmp_path):
    planted = {"train": "left pleural effusion", "test": "right apical pneumothorax"}
    lines = [
        {
            "id": split, "patient": split, "split": split, "image": "x.png", "width": 8, "height": 8, "report": text,
            "phrases": [{"text": text}],
        }
        for split, text in planted.items()
    ]  # fmt: skip
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    def of(split):
        return texts(*(phrase.phrase() for row in read_rows(tmp_path, split) for phrase in row.phrases))

    assert of("train") == ["left pleural effusion", "pleural effusion"]
    assert "pneumothorax" in of("test")


def test_counts_are_of_phrases():
    phrases = [Phrase(text="left effusion"), Phrase(text="effusion and left effusion"), Phrase(text="right effusion")]
    entities = extract_entities(phrases, ATLAS)
    assert {text: entity.count for text, entity in entities.items()} == {
        "effusion": 3,
        "left pleural effusion": 2,
        "pleural effusion": 3,
        "right pleural effusion": 1,
    }


def test_no_report_text_becomes_an_entity():
    phrase = Phrase(text="Mr Smith's very peculiar left base nodule, seen by Dr Jones", finding="nodule")
    assert texts(phrase) == ["left basal nodule", "left nodule", "nodule"]
