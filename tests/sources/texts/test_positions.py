from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.records import Section, Side
from knowmvg.sources.manifest import PhraseRow
from knowmvg.sources.phantom.report import sample_findings, write_report
from knowmvg.sources.report import read_report
from knowmvg.sources.texts.places import place_stretches
from knowmvg.sources.texts.positions import without_place_words, without_positions
from tests.sources.data_folders import row

_SIDES = re.compile(
    r"\b(?:left|right|lt|rt|bilateral\w*|bibas\w*|biapical|both|l[ul]l|r[uml]l|lingula\w*)\b(?! (?:atri|ventric))", re.I
)
_ZONES = re.compile(
    r"\b(?:upper|lower|mid|middle|midlung|apical|ap[ie][xc]\w*|bas[ae]\w*|perihilar|retrocardiac)\b", re.I
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Small left pleural effusion.", "Small pleural effusion."),
        ("Consolidation in the left lower lobe.", "Consolidation."),
        ("Left lower lobe consolidation.", "Consolidation."),
        ("Right lung is clear.", "Lung is clear."),
        ("Elevation of the right hemidiaphragm.", "Elevation of the hemidiaphragm."),
        ("LLL opacity is seen.", "Opacity is seen."),
        ("Both lung bases are clear.", "Lung bases are clear."),  # what is normal gives no box away
        ("Effusions are bilateral.", "Effusions are present."),
        ("Bilateral pleural effusions, right greater than left.", "Pleural effusions."),
        ("There is an upper lobe nodule in the right lung.", "There is a nodule."),
        ("There is a left effusion and an apical opacity.", "There is an effusion and an opacity."),
        ("Blunting of the left costophrenic angle.", "Blunting of the costophrenic angle."),
        ("Mild left ventricular enlargement.", "Mild left ventricular enlargement."),
        ("Left-sided pneumothorax without shift.", "Pneumothorax without shift."),
        ("Opacity at both bases, left worse than right, unchanged.", "Opacity, unchanged."),
        ("Atelectasis, position: left", "Atelectasis"),
        ("Patchy opacities in the left and right lower lobes.", "Patchy opacities."),
        ("Hilar adenopathy on the right.", "Hilar adenopathy."),
        ("In the left lower lobe there is consolidation.", "There is consolidation."),
        ("Moderate thoracolumbar dextroscoliosis.", "Moderate thoracolumbar scoliosis."),
        ("No pneumothorax on the left side.", "No pneumothorax."),
        ("Right.", ""),
        ("", ""),
        ("The heart is enlarged.", "The heart is enlarged."),
    ],
)
def test_words_of_place_go_and_the_rest_still_reads(before, after):
    assert without_place_words(before) == after


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_no_report_of_the_simulator_keeps_a_place_or_loses_a_finding(seed):
    import numpy as np

    rng = np.random.default_rng(seed)
    report = write_report(sample_findings(rng), rng)
    phrases = tuple(
        PhraseRow(
            text=p.text,
            span=p.span,
            section=p.section,
            assertion=p.assertion,
            finding=p.finding,
            side=p.side,
            zone=p.zone,
        )
        for p in report.phrases
    )
    made = without_positions(row("s", "p", report=report.text, phrases=phrases))
    assert not _SIDES.search(made.report), made.report
    assert len(made.phrases) == len(phrases)
    for phrase, before in zip(made.phrases, phrases, strict=True):
        assert made.report[slice(*phrase.span)] == phrase.text
        assert (phrase.finding, phrase.assertion, phrase.side, phrase.zone) == (
            before.finding,
            before.assertion,
            None,
            None,
        )
        assert not _ZONES.search(phrase.text), phrase.text
    assert without_positions(made) == made


@given(st.text("leftrigh loweuapsn.,:;-()\n\t12é", max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_given(text):
    made = without_positions(row("s", "p", report=text))
    assert without_positions(made) == made


def test_a_report_is_read_as_before_without_its_places():
    text = "FINDINGS: There is a small right pleural effusion. No pneumothorax. Left lower lobe consolidation is seen."
    before, after = read_report(text).phrases, read_report(without_place_words(text)).phrases
    assert [(p.finding, p.assertion) for p in after] == [(p.finding, p.assertion) for p in before]
    assert all(p.side is None and p.zone is None for p in after)


def test_indication_and_comparison_are_no_exception():
    text = "INDICATION: left chest pain.\nCOMPARISON: prior study showing a right effusion.\nFINDINGS: Clear."
    assert not _SIDES.search(without_place_words(text))


def phrase(text, report, **more):
    at = report.index(text)
    return PhraseRow(text=text, span=(at, at + len(text)), section=Section.FINDINGS, **more)


def test_phrases_that_read_alike_share_their_boxes():
    report = "Left effusion. Right effusion. Cardiomegaly."
    box, other = (20.0, 1.0, 30.0, 9.0), (1.0, 2.0, 9.0, 9.0)
    made = without_positions(
        row("s", "p", report=report, phrases=(
            phrase("Left effusion", report, finding="pleural effusion", side=Side.LEFT, boxes=(box,), mask_bits=(3,)),
            phrase("Right effusion", report, finding="pleural effusion", boxes=(other,), mask_bits=(4,)),
            phrase("Cardiomegaly", report, finding="cardiomegaly", boxes=((2.0, 2.0, 29.0, 29.0),)),
        ))
    )  # fmt: skip
    assert made.report == "Effusion. Effusion. Cardiomegaly."
    assert [one.boxes for one in made.phrases] == [(other, box), (other, box), ((2.0, 2.0, 29.0, 29.0),)]
    assert made.phrases[0].mask_bits == (4, 3)
    assert made.phrases[1].span == (10, 18)


def test_a_phrase_keeps_its_place_where_case_and_line_breaks_differ():
    report = "FINDINGS: Small left\n basal effusion."
    start = report.index("Small")
    phrase = PhraseRow(text="small left basal effusion", span=(start, len(report) - 1), finding="pleural effusion")
    made = without_positions(row("s", "p", report=report, phrases=(phrase,)))
    (one,) = made.phrases
    assert one.text == "Small effusion"
    assert one.span is not None
    assert made.report[slice(*one.span)].split() == ["Small", "effusion"]


def test_phrases_that_are_not_in_the_report_are_stripped_too():
    phrases = (
        PhraseRow(text="opacity in the left lung", finding="lung opacity", boxes=((1.0, 1.0, 2.0, 2.0),)),
        PhraseRow(text="left base", finding="atelectasis", zone="basal"),
        PhraseRow(text="on the right"),
    )
    made = without_positions(row("s", "p", report="Nothing else.", phrases=phrases))
    assert [(one.text, one.span, one.zone) for one in made.phrases] == [
        ("opacity", None, None),
        ("atelectasis", None, None),
    ]


def test_a_name_of_a_finding_keeps_its_words():
    from knowmvg.knowledge.patterns import split_words

    for name in ("blunted costophrenic angle", "elevated hemidiaphragm", "hilar adenopathy"):
        assert place_stretches(split_words(name)) == []
