from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.errors import RecipeError
from knowmvg.core.records import Assertion, Section, Side
from knowmvg.knowledge.lexicon import load_lexicon
from knowmvg.sources.manifest import PhraseRow
from knowmvg.sources.phantom.report import sample_findings, write_report
from knowmvg.sources.report import read_report
from knowmvg.sources.texts import Positions, TextMode, row_transform, transform
from knowmvg.sources.texts.categories import atlas_description
from knowmvg.sources.texts.labels import label_report, side_of_boxes
from knowmvg.sources.texts.templates import is_sided, templates
from tests.sources.data_folders import boxed, row

BOX = (1.0, 2.0, 9.0, 12.0)
OTHER = (20.0, 2.0, 30.0, 12.0)


def at(report, text, section=Section.FINDINGS, **more):
    start = report.index(text)
    return PhraseRow(text=text, span=(start, start + len(text)), section=section, **more)


REPORT = (
    "INDICATION: Cough.\nFINDINGS:\nSmall left effusion. No pneumothorax. Old nodule has resolved.\n\n"
    "IMPRESSION: 1. Small left effusion, unchanged. 2. Possible pneumonia.\n"
)
STUDY = row("s", "p", "test", report=REPORT, phrases=(
    at(REPORT, "Small left effusion", finding="pleural effusion", side=Side.LEFT, boxes=(OTHER,)),
    at(REPORT, "pneumothorax", finding="pneumothorax", assertion=Assertion.ABSENT),
    at(REPORT, "Old nodule", finding="nodule", assertion=Assertion.RESOLVED),
    at(REPORT, "pneumonia", Section.IMPRESSION, finding="pneumonia", assertion=Assertion.POSSIBLE, boxes=(BOX,)),
))  # fmt: skip


def only(mode, study=STUDY, **more):
    (made,) = transform(TextMode(mode), **more)(study)
    return made


def sound(made):
    for phrase in made.phrases:
        if phrase.span is not None:
            assert made.report[slice(*phrase.span)] == phrase.text
        assert phrase.text == phrase.text.strip() != ""
    return made


def boxes_of(study):
    return {box for part in (*study.phrases, *study.unmentioned) for box in part.boxes}


def test_full_changes_nothing():
    assert only("full") == STUDY


def test_a_section_alone():
    findings = sound(only("findings"))
    assert findings.report == "Small left effusion. No pneumothorax. Old nodule has resolved."
    assert [phrase.text for phrase in findings.phrases] == ["Small left effusion", "pneumothorax", "Old nodule"]
    assert [one.finding for one in findings.unmentioned] == ["pneumonia"]
    impression = sound(only("impression"))
    assert impression.report == "1. Small left effusion, unchanged. 2. Possible pneumonia."
    assert [phrase.text for phrase in impression.phrases] == ["Small left effusion", "pneumonia"]
    assert impression.unmentioned == ()


@pytest.mark.parametrize(
    ("impression", "said"),
    [("Small left EFFUSION.", True), ("No small left effusion.", False), ("Left effusion, small.", False)],
)
def test_a_phrase_of_another_section_counts_where_its_words_stand_again(impression, said):
    report = f"FINDINGS: Small left effusion.\nIMPRESSION: {impression}"
    phrase = PhraseRow(text="small left effusion", span=(10, 29), finding="pleural effusion", boxes=(BOX,))
    made = sound(only("impression", row("s", "p", report=report, phrases=(phrase,))))
    assert [one.text for one in made.phrases] == (["Small left EFFUSION"] if said else [])
    assert len(made.unmentioned) == (0 if said else 1)


def test_a_report_without_the_section_is_left_out():
    study = row("s", "p", report="Clear lungs.")
    assert transform(TextMode.IMPRESSION)(study) == ()


def test_sections_that_come_twice_are_joined():
    report = "FINDINGS: Nodule.\nIMPRESSION: Nodule.\nFINDINGS: Effusion."
    second = report.rindex("Effusion")
    phrase = PhraseRow(text="Effusion", span=(second, second + 8), finding="pleural effusion", boxes=(BOX,))
    made = sound(only("findings", row("s", "p", report=report, phrases=(phrase,))))
    assert made.report == "Nodule.\nEffusion."
    assert made.phrases[0].span == (8, 16)


def test_a_phrase_that_is_not_verbatim_stays_with_its_section():
    phrases = (boxed("nodule", section=Section.IMPRESSION), boxed("edema"))
    study = row("s", "p", report="FINDINGS: Abnormal.\nIMPRESSION: See above.", phrases=phrases)
    assert [one.finding for one in only("findings", study).phrases] == ["edema"]
    assert [one.finding for one in only("impression", study).phrases] == ["nodule", "edema"]


def test_phrases_alone_state_nothing_that_the_report_denies():
    made = sound(only("phrases"))
    assert made.report == "Small left effusion. Possible pneumonia."
    assert [one.assertion for one in read_report(made.report).phrases] == [Assertion.PRESENT, Assertion.POSSIBLE]
    assert transform(TextMode.PHRASES)(row("s", "p", report="No nodule.")) == ()


def test_one_row_a_phrase():
    rows = transform(TextMode.PHRASE)(STUDY)
    assert [(one.id, one.report) for one in rows] == [("s#1", "Small left effusion."), ("s#2", "Possible pneumonia.")]
    for one in rows:
        assert len(sound(one).phrases) == 1
        assert boxes_of(one) == {BOX, OTHER}


def test_questions_and_answers():
    rows = transform(TextMode.QUESTION)(STUDY)
    assert [one.id for one in rows] == ["s#q0", "s#q1", "s#q2", "s#q3"]
    assert all(sound(one).report.startswith("Question: ") for one in rows)
    assert {phrase.finding for phrase in rows[0].phrases} == {"pleural effusion", "pneumonia"}
    denied = rows[2]
    assert denied.phrases[0].assertion is Assertion.ABSENT
    assert denied.phrases[0].span[1] < denied.report.index("Answer:")
    assert all(boxes_of(one) == {BOX, OTHER} for one in rows)
    assert transform(TextMode.QUESTION)(STUDY) == rows
    assert transform(TextMode.QUESTION, seed=1)(STUDY) != rows


def test_a_study_without_phrases_is_asked_all_the_same():
    (one,) = transform(TextMode.QUESTION)(row("s", "p", report="Clear."))
    assert one.phrases == ()
    assert templates().answers["nothing"][0] in one.report


def test_categories_are_described_and_place_nothing():
    made = sound(only("category"))
    assert {one.text for one in made.phrases} == {"Pleural effusion", "Pneumonia"}
    assert atlas_description("pleural effusion") in made.report
    assert "left" not in made.report
    assert all(one.side is None for one in made.phrases)
    assert transform(TextMode.CATEGORY)(row("s", "p", report="Clear.")) == ()


def test_a_category_without_a_description_stands_alone():
    made = only("category", describe=lambda name: None)
    assert made.report in {
        f"{one}{a} {two}{b}" for one, two in (("Pneumonia", "Pleural effusion"), ("Pleural effusion", "Pneumonia"))
        for a in (".", " is seen.") for b in (".", " is seen.")
    }  # fmt: skip


def unlabelled(*phrases):
    return row("s", "p", report=" \n", phrases=phrases)


@pytest.mark.parametrize(
    ("boxes", "side"),
    [
        ([BOX], Side.RIGHT),
        ([OTHER], Side.LEFT),
        ([BOX, OTHER], Side.BILATERAL),
        ([(4.0, 0.0, 28.0, 9.0)], None),
        ([(4.0, 0.0, 17.0, 9.0)], Side.RIGHT),
        ([], None),
        ([(16.0, 0.0, 16.0, 0.0)], Side.LEFT),
    ],
)
def test_the_side_of_boxes_is_the_patients(boxes, side):
    assert side_of_boxes(boxes, 32) is side


def test_sides_are_said_only_when_asked_for():
    study = unlabelled(boxed("nodule", boxes=(BOX,)), boxed("nodule", boxes=(OTHER,)), boxed("cardiomegaly"))
    said = sound(only("full", study, positions=Positions.SAY))
    assert {(one.finding, one.side, one.boxes) for one in said.phrases if one.finding == "nodule"} == {
        ("nodule", Side.RIGHT, (BOX,)), ("nodule", Side.LEFT, (OTHER,))
    }  # fmt: skip
    for positions in (Positions.KEEP, Positions.DROP):
        kept = sound(only("full", study, positions=positions))
        assert "left" not in kept.report.casefold()
        assert "right" not in kept.report.casefold()
        assert {(one.finding, one.boxes) for one in kept.phrases} == {
            ("nodule", (BOX, OTHER)), ("cardiomegaly", ((1.0, 2.0, 9.0, 12.0),))
        }  # fmt: skip


def test_a_report_of_labels_takes_the_place_of_another():
    study = row("s", "p", report="Nodule.", phrases=(at("Nodule.", "Nodule", finding="nodule", boxes=(BOX,)),))
    assert only("full", study, positions=Positions.SAY) == study
    said = sound(only("labels", study, positions=Positions.SAY))
    assert said.report.startswith("FINDINGS: ")
    assert said.phrases[0].side is Side.RIGHT
    assert not _sided(only("labels", study).report)


def _sided(report):
    return any(word in report.casefold() for word in ("left", "right"))


def test_labels_with_a_side_of_their_own_keep_it():
    study = unlabelled(boxed("nodule", side=Side.LEFT, zone="upper"))
    kept = sound(only("full", study))
    assert kept.phrases[0].side is Side.LEFT
    assert "left" in kept.report.casefold() or "LUL" in kept.report


@pytest.mark.parametrize("side", [None, *Side])
def test_every_finding_is_understood_as_it_was_labelled(side):
    for finding in load_lexicon().by_name():
        told = side if is_sided(finding) else None
        for seed in range(3):
            made = sound(label_report(unlabelled(boxed(finding, side=told)), places=True, seed=seed))
            read = read_report(made.report).phrases
            assert [(one.finding, one.assertion) for one in read] == [(finding, Assertion.PRESENT)], made.report
            assert read[0].side is told, made.report


@pytest.mark.parametrize("assertion", [one for one in Assertion if one is not Assertion.PRIOR])
def test_assertions_are_said(assertion):
    for seed in range(12):
        made = sound(label_report(unlabelled(boxed("pneumothorax", assertion=assertion)), places=False, seed=seed))
        assert [one.assertion for one in read_report(made.report).phrases] == [assertion], made.report


def test_a_prior_finding_stays_one():
    made = sound(label_report(unlabelled(boxed("pneumothorax", assertion=Assertion.PRIOR)), places=False))
    assert made.phrases[0].assertion is Assertion.PRIOR


def test_a_report_claims_no_more_than_the_labels():
    for seed in range(40):
        study = unlabelled(boxed("infiltrate"), boxed("pleural effusion", boxes=(OTHER,)))
        made = label_report(study, places=False, seed=seed)
        assert {one.finding for one in read_report(made.report).phrases} == {"infiltrate", "pleural effusion"}
        assert not any(word in made.report for word in ("again", "interval", "no ", "mild", "small"))


def test_modes_with_one_row_a_study_serve_prepare():
    assert row_transform(TextMode.FINDINGS)(STUDY) == only("findings")
    assert row_transform(TextMode.IMPRESSION)(row("s", "p", report="Clear lungs.")) is None
    for mode in (TextMode.PHRASE, TextMode.QUESTION):
        with pytest.raises(RecipeError, match=mode):
            row_transform(mode)


def test_no_label_is_said_to_be_none():
    assert only("full", unlabelled()).report == f"FINDINGS: {templates().none}"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(list(TextMode)), st.sampled_from(list(Positions)))
def test_no_mode_loses_a_box_or_a_span(seed, mode, positions):
    rng = np.random.default_rng(seed)
    report = write_report(sample_findings(rng), rng)
    phrases = [
        PhraseRow(
            text=p.text, span=p.span, section=p.section, assertion=p.assertion, finding=p.finding, side=p.side,
            zone=p.zone, boxes=((k + 0.0, 0.0, k + 2.0, 2.0),) if p.assertion.placed else (),
            mask_bits=(k,) if p.assertion.placed else (),
        )
        for k, p in enumerate(report.phrases)
    ]  # fmt: skip
    study = row("s", "p", "val", report=report.text, phrases=phrases)
    for made in transform(mode, positions=positions)(study):
        assert boxes_of(sound(made)) == boxes_of(study)
        assert (made.patient, made.split, made.image) == (study.patient, study.split, study.image)
        assert all(len(phrase.mask_bits) == len(phrase.boxes) for phrase in made.phrases)
