"""What the readers share: categories, rows gathered on disk, lists in JSON, fused boxes, phrases, options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.boxes import as_boxes
from knowmvg.core.errors import KnowledgeError, ManifestError
from knowmvg.core.records import Assertion, Side
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.sources.datasets import SOURCES, json_lists
from knowmvg.sources.datasets.categories import CATEGORIES_SCHEMA, categories_of, finding_named, parse_categories
from knowmvg.sources.datasets.fusing import fuse
from knowmvg.sources.datasets.gathering import Gathering
from knowmvg.sources.datasets.json_lists import read_list, read_object
from knowmvg.sources.datasets.phrase_rows import mentioned_findings, only_finding, phrase_row, with_report
from knowmvg.sources.datasets.vindr_tables import DISEASES

SOURCE = "Somebody, Some Journal 2020"


def test_every_mapped_finding_is_in_the_lexicon() -> None:
    known = load_lexicon().by_name()
    for name in ("ms-cxr", "chestx-ray8", "vindr-cxr", "padchest-gr"):
        findings = categories_of(name).findings.values()
        assert {finding for finding in findings if finding is not None} <= known.keys()


def test_every_disease_of_vindr_is_in_its_table() -> None:
    assert all(categories_of("vindr-cxr").knows(name) for name in DISEASES)


def test_case_and_blanks_of_categories_do_not_matter() -> None:
    table = categories_of("vindr-cxr")
    assert table.finding(" pleural  EFFUSION") == "pleural effusion"
    assert (table.finding("Nodule/Mass"), table.knows("nodule/mass")) == (None, True)
    assert (table.finding("hedgehog"), table.knows("hedgehog")) == (None, False)
    assert (finding_named("Pleural Effusion"), finding_named("shadow")) == ("pleural effusion", None)


@pytest.mark.parametrize(
    "sets",
    [
        {"x": {"source": SOURCE, "findings": {"A": "hedgehog"}}},
        {"x": {"source": SOURCE, "findings": {"A": "mass", "a ": "mass"}}},
        {"x": {"findings": {}}},
        {"x": {"source": SOURCE, "findings": {"A": 3}}},
        {"x": {"source": SOURCE, "findings": {}, "sides": {}}},
        [],
    ],
)
def test_wrong_tables(sets: object) -> None:
    with pytest.raises(KnowledgeError):
        parse_categories({"schema": CATEGORIES_SCHEMA, "sets": sets})


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=4), st.integers() | st.text(max_size=4) | st.none())))
def test_gathering_is_grouping(rows: list[tuple[str, object]]) -> None:
    expected: dict[str, list[object]] = {}
    with Gathering() as gathering:
        for group, row in rows:
            expected.setdefault(group, []).append(row)
            gathering.add(group, row)
        assert list(gathering) == list(expected.items())
        assert all(group in gathering for group in expected)
        assert "no such group" not in gathering


BOX = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)
DRAWN = st.lists(st.tuples(st.sampled_from(["R1", "R2", "R3"]), BOX), max_size=8)


@settings(max_examples=50, deadline=None)
@given(DRAWN, st.randoms())
def test_fusing(drawn: list[tuple[str, tuple[float, float, float, float]]], random: object) -> None:
    fused = fuse(drawn)
    shuffled = list(drawn)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fuse(shuffled) == fused, "the order in the file does not matter"
    assert sum(readers for _, readers in fused) == len(set(drawn)), "each box counts once"
    assert all(1 <= readers <= 3 for _, readers in fused)
    if drawn:
        boxes, means = as_boxes([box for _, box in drawn]), as_boxes([box for box, _ in fused])
        assert (means[:, :2] >= boxes[:, :2].min(axis=0) - 1e-9).all()
        assert (means[:, 2:] <= boxes[:, 2:].max(axis=0) + 1e-9).all()


def test_fusing_keeps_apart_what_one_reader_drew_apart() -> None:
    near = [("R1", (0.0, 0.0, 10.0, 10.0)), ("R1", (1.0, 0.0, 11.0, 10.0))]
    assert [readers for _, readers in fuse(near)] == [1, 1]
    assert fuse([("R1", (0.0, 0.0, 10.0, 10.0)), ("R2", (2.0, 0.0, 12.0, 10.0))]) == [((1.0, 0.0, 11.0, 10.0), 2)]
    assert len(fuse([("R1", (0.0, 0.0, 10.0, 10.0)), ("R2", (6.0, 0.0, 16.0, 10.0))])) == 2
    assert fuse([]) == []


def test_words_of_a_phrase() -> None:
    assert phrase_row("left lung", None, [(1, 2, 3, 4)]).side is Side.LEFT, "anatomy has a place too"
    assert phrase_row("no effusion", "pleural effusion", [(1, 2, 3, 4)]).assertion is Assertion.PRESENT
    assert phrase_row("no effusion", "pleural effusion", []).assertion is Assertion.ABSENT
    with pytest.raises(ValueError, match="boxes"):
        phrase_row("effusion", "pleural effusion", [(1, 2, 3, 4)], assertion=Assertion.ABSENT)
    assert only_finding("effusion and atelectasis") is None
    assert only_finding("hello") is None


def test_a_report_that_holds_its_phrases() -> None:
    phrases = [phrase_row("left effusion", "pleural effusion", []), phrase_row("mass", "mass", [])]
    report, (first, second) = with_report("FINDINGS: There is a left effusion.", phrases)
    assert report[slice(*first.span)] == "left effusion" if first.span else False
    assert (first.section, second.span) == ("findings", None)


@pytest.mark.parametrize(
    ("question", "answer", "findings"),
    [
        ("is there cardiomegaly?", "yes", {"cardiomegaly"}),
        ("is there cardiomegaly?", "no", set()),
        ("is there cardiomegaly?", "No.", set()),
        ("what is seen?", "edema, pleural effusion", {"edema", "pleural effusion"}),
        ("what is seen?", "no pneumothorax", set()),
        ("where?", "left lung", set()),
    ],
)
def test_findings_of_a_question(question: str, answer: str, findings: set[str]) -> None:
    assert mentioned_findings(question, answer) == findings


def test_lists_in_json_are_streams(tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"rows": [{"n": 1}, {"n": 2}]})[:-12] + '{"n": 2}, BROKEN', encoding="utf-8")
    items = read_list(path, "rows")
    assert next(items).values == {"n": 1}  # type: ignore[union-attr]
    with pytest.raises(ManifestError, match=r"many\.json"):
        list(items)


def test_limits_of_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.json"
    path.write_text(json.dumps([{"n": "x" * 100}] * 1_000), encoding="utf-8")
    monkeypatch.setattr(json_lists, "MAX_BYTES", 50_000)
    monkeypatch.setattr(json_lists, "MAX_OBJECT", 1_000)
    with pytest.raises(ManifestError, match="at most 50000 bytes"):
        list(read_list(path))
    path.write_text(json.dumps({"n": "x" * 2_000}), encoding="utf-8")
    with pytest.raises(ManifestError, match="at most 1000 bytes"):
        read_object(path)


def test_every_source_says_what_its_options_do() -> None:
    assert {"medical-diff-vqa", "mrg-mimic-class", "chest-imagenome", "vindr-cxr", "padchest-gr", "coco", "csv"} <= set(
        SOURCES
    )
    assert all(text for source in SOURCES.values() for text in source.options.values())
