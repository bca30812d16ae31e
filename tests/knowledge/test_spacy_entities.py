"""The scispaCy adapter, with a blank pipeline and an entity ruler in the place of the model."""

import sys

import pytest

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Assertion, Phrase, Side
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.entities import extract_entities
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.knowledge.spacy_entities import SpacyExtractor

spacy = pytest.importorskip("spacy", reason="needs the extra knowmvg[scispacy]")

ATLAS = load_atlas()
PHRASES = [
    Phrase(text="small left pleural effusion", finding="pleural effusion", side=Side.LEFT),
    Phrase(text="endotracheal tube above the carina", finding="tube"),
    Phrase(text="right apical pneumothorax"),
    Phrase(text="no nodule", assertion=Assertion.ABSENT),
    Phrase(text="Dr Jones saw a gizmo"),
]


@pytest.fixture
def pipeline():
    made = spacy.blank("en")
    ruler = made.add_pipe("entity_ruler")
    words = ("pleural effusion", "endotracheal tube", "gizmo", "nodule")
    ruler.add_patterns([{"label": "ENTITY", "pattern": [{"LOWER": w} for w in text.split()]} for text in words])
    return made


def test_spans_of_the_model_that_the_atlas_knows(pipeline):
    extract = SpacyExtractor(pipeline)
    entities = extract(iter(PHRASES), ATLAS)
    # The pneumothorax is no entity of this model, the nodule is denied, and the atlas knows no gizmo.
    assert list(entities) == ["endotracheal tube", "left pleural effusion", "pleural effusion"]
    assert all(entities[text] == entity for text, entity in extract_entities(PHRASES[:2], ATLAS).items())
    assert extract.unknown == {"gizmo": 1}


def test_the_graph_is_built_with_it(pipeline):
    graph = build_graph(PHRASES, ATLAS, extract=SpacyExtractor(pipeline))
    assert "left costophrenic angle" in graph.index
    assert not any("gizmo" in node.text or "Jones" in node.text for node in graph.nodes)


def test_more_phrases_than_a_batch(pipeline, monkeypatch):
    monkeypatch.setattr("knowmvg.knowledge.spacy_entities._SHORT", 3)
    assert SpacyExtractor(pipeline)(PHRASES[:1] * 7, ATLAS)["pleural effusion"].count == 7


def test_a_folder_with_a_model_is_loaded(pipeline, tmp_path):
    pipeline.to_disk(tmp_path / "model")
    assert "endotracheal tube" in SpacyExtractor.load(str(tmp_path / "model"))(PHRASES, ATLAS)
    spacy.blank("en").to_disk(tmp_path / "empty")
    with pytest.raises(KnowledgeError, match="a model without any"):
        SpacyExtractor.load(str(tmp_path / "empty"))


def test_what_is_missing_is_told():
    with pytest.raises(KnowledgeError, match="the spaCy model 'en_no_such_model'"):
        SpacyExtractor.load("en_no_such_model")


def test_spacy_itself_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(KnowledgeError, match=r"knowmvg\[scispacy\]"):
        SpacyExtractor.load()
