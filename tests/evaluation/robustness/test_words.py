"""Exchanged sides, other words and denials: what the texts become."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robustness_fakes import bright_study

from knowmvg.core.records import Assertion, LabelledPhrase, Phrase, Radiograph, Side, Study
from knowmvg.evaluation.robustness.denial import denied
from knowmvg.evaluation.robustness.laterality import LateralitySwap, swapped_words
from knowmvg.evaluation.robustness.paraphrase import Paraphrase
from knowmvg.sources.phantom.report import sample_findings, write_report
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.report.rewording import rewordings
from knowmvg.sources.phantom.scene import FINDINGS
from knowmvg.sources.report import read_report
from knowmvg.sources.texts.edits import Edit, rewrite

IMAGE = Radiograph(np.zeros((10, 10), dtype=np.float32))


def swapped(text):
    return rewrite(text, swapped_words(text)).text


def study(report, *phrases):
    """A study of phrases that are verbatim in the report, each with a box if placed."""
    labels = []
    for words, about in phrases:
        start = report.index(words)
        phrase = Phrase(text=words, span=(start, start + len(words)), **about)
        labels.append(
            LabelledPhrase(phrase, np.array([[1.0, 1, 5, 5]] if phrase.assertion.placed else []).reshape(-1, 4))
        )
    return Study(IMAGE, report, "s", "p", tuple(labels))


@pytest.fixture(scope="module")
def written():
    """Studies of simulated reports."""
    rng = np.random.default_rng(5)
    found = []
    for number in range(50):
        report = write_report(sample_findings(rng), rng)
        labels = [
            LabelledPhrase(
                Phrase(
                    text=p.text,
                    span=p.span,
                    section=p.section,
                    assertion=p.assertion,
                    finding=p.finding,
                    side=p.side,
                    zone=p.zone,
                ),
                np.array([[1.0, 1, 5, 5]] if p.assertion.placed else []).reshape(-1, 4),
            )
            for p in report.phrases
        ]
        found.append(Study(IMAGE, report.text, f"s{number}", None, tuple(labels)))
    return found


def test_edits_carry_spans():
    report = rewrite("a left effusion, no more", [Edit(2, 6, "right"), Edit(7, 15, "fluid")])
    assert report.text == "a right fluid, no more"
    assert report.text[slice(*report.span((2, 15)))] == "right fluid"
    assert report.text[slice(*report.span((17, 24)))] == "no more"
    assert report.text[slice(*report.span((4, 15)))] == "right fluid"  # an edit that reaches in belongs to it
    with pytest.raises(ValueError, match="one after the other"):
        rewrite("abc", [Edit(0, 2, "x"), Edit(1, 3, "y")])
    with pytest.raises(ValueError, match="one after the other"):
        rewrite("abc", [Edit(2, 9, "x")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Small left pleural effusion.", "Small right pleural effusion."),
        ("LEFT-sided effusion; Right base", "RIGHT-sided effusion; Left base"),
        ("opacity in the RUL and LLL", "opacity in the LUL and RLL"),
        ("in the right middle lobe", "in the lingula"),
        ("RML opacity", "lingular opacity"),
        ("left lingular opacity", "right middle lobe opacity"),
        ("left ventricular enlargement, right atrial lead", "left ventricular enlargement, right atrial lead"),
        ("bright copyright leftover", "bright copyright leftover"),
        ("", ""),
    ],
)
def test_words_change_sides(text, expected):
    assert swapped(text) == expected


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["left", "Right", "RUL", "lll", "no", "effusion", "leftward", "LEFT"]), max_size=8))
def test_exchanging_twice_is_the_text(words):
    text = " ".join(words)
    assert swapped(swapped(text)).casefold() == text.casefold()
    assert (swapped(text) != text) == any(re.search("left|right|rul|lll", word, re.IGNORECASE) for word in words)


def test_a_study_changes_its_words_alone():
    one = study(
        "There is a left effusion. Cardiomegaly. No right nodule.",
        ("left effusion", {"side": Side.LEFT, "finding": "pleural effusion"}),
        ("Cardiomegaly", {"finding": "cardiomegaly"}),
        ("right nodule", {"side": Side.RIGHT, "assertion": Assertion.ABSENT}),
    )
    view = LateralitySwap()
    shown = view(one)
    assert shown.report == "There is a right effusion. Cardiomegaly. No left nodule."
    assert [label.phrase.side for label in shown.labels] == [Side.RIGHT, None, Side.LEFT]
    assert [label.phrase.text for label in shown.labels] == ["right effusion", "Cardiomegaly", "left nodule"]
    assert all(shown.report[slice(*label.phrase.span)] == label.phrase.text for label in shown.labels)
    assert view.swapped["s"] == {0, 2}
    assert all(np.array_equal(a.boxes, b.boxes) for a, b in zip(one.labels, shown.labels, strict=True))
    assert shown.image is one.image
    assert shown.id != one.id


def test_a_phrase_that_is_not_in_the_report_changes_all_the_same():
    one = Study(IMAGE, "x", "s", "p", (LabelledPhrase(Phrase(text="Left lung", side=Side.LEFT), np.zeros((0, 4))),))
    assert LateralitySwap()(one).labels[0].phrase.text == "Right lung"


def test_simulated_reports_are_mirrored(written):
    opposite = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}
    for one in written:
        shown = LateralitySwap()(one)
        before, after = (
            [p for p in read_report(text).phrases if p.finding in FINDINGS] for text in (one.report, shown.report)
        )
        assert [(p.finding, opposite.get(p.side, p.side)) for p in before] == [(p.finding, p.side) for p in after]


def test_other_words_mean_the_same(written):
    done = every = 0
    view = Paraphrase(seed=3)
    for one in written:
        shown = view(one)
        for index, (old, new) in enumerate(zip(one.labels, shown.labels, strict=True)):
            assert shown.report[slice(*new.phrase.span)] == new.phrase.text
            every += old.phrase.assertion.placed
            if index not in view.reworded[one.id]:
                assert new.phrase.text == old.phrase.text
                continue
            done += 1
            assert new.phrase.text.casefold() != old.phrase.text.casefold()
            (first,), (second,) = read_report(old.phrase.text).phrases, read_report(new.phrase.text).phrases
            assert (first.finding, first.side, first.zone) == (second.finding, second.side, second.zone)
        sizes = [len(re.findall(r"\b(?:a|an) (?=\w)", text)) for text in (one.report, shown.report)]
        assert abs(sizes[0] - sizes[1]) <= len(view.reworded[one.id])
    assert done > 0.6 * every  # the figure of this grammar is 0.71


def test_articles_follow_the_new_words():
    one = study("There is an effusion.", ("effusion", {"finding": "pleural effusion"}))
    for seed in range(20):
        shown = Paraphrase(seed)(one)
        article, word = re.search(r"is (an?) (\w+)", shown.report).groups()
        assert article == ("an" if word[0] in "aeiou" else "a")


def test_the_same_seed_gives_the_same_words(written):
    assert [Paraphrase(1)(s).report for s in written[:8]] == [Paraphrase(1)(s).report for s in written[:8]]
    assert [Paraphrase(1)(s).report for s in written[:8]] != [Paraphrase(2)(s).report for s in written[:8]]


def test_degree_texture_and_place_are_kept():
    dice = Dice(np.random.default_rng(0))
    found = list(rewordings("large layering left pleural effusion", "pleural effusion", Side.LEFT, None, True, dice))
    assert len(set(found)) > 3
    assert all("left" in words and re.search("large|sizeable|massive|extensive", words) for words in found)
    assert any("layering" in words for words in found)
    assert not any("loculated" in words for words in found)
    assert list(rewordings("a pen", "foreign body", None, None, False, dice)) == []


def test_denied_reports_state_nothing(written):
    reached = every = 0
    for one in written:
        shown = denied(one)
        if shown is None:
            continue
        read = read_report(shown.report).phrases
        for label in shown.labels:
            assert shown.report[slice(*label.phrase.span)] == label.phrase.text
            assert label.phrase.assertion is Assertion.ABSENT
            assert len(label.boxes) == 0
            start, end = label.phrase.span
            met = [p for p in read if p.span[0] < end and start < p.span[1]]
            assert not any(p.assertion.placed for p in met)
            reached += bool(met)
            every += 1
    assert every > 50
    assert reached > 0.9 * every  # the rest is not read as a finding at all


def test_a_denial_by_hand():
    one = study(
        "FINDINGS: Small left effusion with RUL nodule but no edema. The heart is enlarged.",
        ("Small left effusion", {"side": Side.LEFT, "finding": "pleural effusion"}),
        ("RUL nodule", {"side": Side.RIGHT, "finding": "nodule"}),
        ("edema", {"finding": "edema", "assertion": Assertion.ABSENT}),
        ("heart is enlarged", {"finding": "cardiomegaly"}),
    )
    shown = denied(one)
    assert shown.report == "FINDINGS: No small left effusion or RUL nodule. No cardiomegaly."
    assert [label.phrase.text for label in shown.labels] == ["small left effusion", "RUL nodule", "cardiomegaly"]
    assert [label.phrase.side for label in shown.labels] == [Side.LEFT, Side.RIGHT, None]


def test_hedged_words_are_denied_by_the_finding_s_name():
    about = {"side": Side.RIGHT, "finding": "pneumonia"}
    one = study(
        "Right opacity possibly representing pneumonia.", ("Right opacity possibly representing pneumonia", about)
    )
    assert denied(one).report == "No right pneumonia."


def test_what_cannot_be_denied():
    lost = study("There is an effusion.", ("effusion", {"finding": "pleural effusion"}))
    moved = lost.labels[0].phrase.model_copy(update={"span": None})
    assert denied(Study(IMAGE, lost.report, "s", None, (LabelledPhrase(moved, lost.labels[0].boxes),))) is None
    assert denied(study("It is odd.", ("It is odd", {}))) is None  # a clause of no finding
    assert denied(study("No effusion.", ("effusion", {"assertion": Assertion.ABSENT}))) is None
    assert denied(bright_study(0)) is not None
