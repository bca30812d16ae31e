"""What is asked, and what is answered, where a report is written in words that the model has not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowmvg.core.grounder import Grounder, LimitedGrounder
from knowmvg.core.records import GroundedPhrase, Region, Side
from knowmvg.inference.question import UNREAD, UNREAD_ANSWER
from knowmvg.inference.reconcile import NOT_LEARNT
from knowmvg.inference.session import Session

RG1 = (Path(__file__).parents[2] / "examples" / "rg1_report.txt").read_text(encoding="utf-8")
REPORT = "FINDINGS: Big mass abuts the right upper lung. Dextroscoliosis. Trace left effusion. No pneumothorax. Barium."
BOX = (Region(xyxy=(1, 2, 3, 4), score=0.9),)


def named(text: str, report: str = REPORT) -> GroundedPhrase:
    start = report.find(text)
    return GroundedPhrase(text=text, span=(start, start + len(text)) if start >= 0 else None, boxes=BOX)


def test_a_limited_grounder_is_recognised(fake_grounder, limited_grounder):
    assert isinstance(limited_grounder(), LimitedGrounder)
    assert isinstance(fake_grounder(), Grounder)
    assert not isinstance(fake_grounder(), LimitedGrounder)


@pytest.mark.parametrize("phrases", ["parser", "both"])
def test_phrases_are_placed_from_plain_words_and_answered_in_the_reports(limited_grounder, radiograph, phrases):
    grounder = limited_grounder()
    grounding = Session(grounder).ground(radiograph, REPORT, phrases)
    assert grounder.asked == [["right upper lobe nodule", "left pleural effusion"]]
    assert grounder.contexts == ["FINDINGS: Right upper lobe nodule. Left pleural effusion."]
    mass, scoliosis, effusion, pneumothorax = grounding.phrases
    assert all(phrase.text == REPORT[slice(*phrase.span)] for phrase in grounding.phrases)
    assert [mass.finding, effusion.finding] == ["mass", "pleural effusion"]
    assert mass.boxes[0].xyxy == effusion.boxes[0].xyxy == grounder.asked_box
    assert (scoliosis.boxes, scoliosis.reason) == ((), NOT_LEARNT)
    assert "absent" in pneumothorax.reason
    assert {phrase.evidence.source for phrase in grounding.phrases} == {"parser"}


def test_the_result_says_how_its_phrases_were_placed(limited_grounder, radiograph):
    warnings = Session(limited_grounder()).ground(radiograph, REPORT).warnings
    assert warnings[0] == UNREAD
    assert "'mass'" in warnings[1]
    assert "'nodule'" in warnings[1]
    assert len(warnings) == 2


def test_the_model_s_own_answer_to_a_report_that_it_cannot_read_carries_a_warning(limited_grounder, radiograph):
    session = Session(limited_grounder([named("Trace left effusion")]))
    assert session.ground(radiograph, REPORT, "model").warnings == (UNREAD_ANSWER,)
    assert UNREAD_ANSWER not in session.ground(radiograph, REPORT, "both").warnings


def test_a_phrase_that_both_name_is_asked_for_all_the_same(limited_grounder, radiograph):
    grounder = limited_grounder([named("Trace left effusion")])
    grounding = Session(grounder).ground(radiograph, REPORT)
    assert "left pleural effusion" in grounder.asked[0]
    (effusion,) = (phrase for phrase in grounding.phrases if phrase.finding == "pleural effusion")
    assert effusion.evidence.source == "both"
    assert effusion.boxes[0].xyxy == grounder.asked_box


def test_of_the_models_own_phrases_only_verbatim_ones_stay(limited_grounder, radiograph):
    grounder = limited_grounder([named("Barium"), named("right lower lobe consolidation")])
    grounding = Session(grounder).ground(radiograph, REPORT)
    assert [phrase.text for phrase in grounding.phrases if phrase.evidence.source == "model"] == ["Barium"]


def test_the_models_box_for_a_finding_that_it_never_learnt_is_dropped(limited_grounder, radiograph):
    grounding = Session(limited_grounder([named("Dextroscoliosis")])).ground(radiograph, REPORT)
    (scoliosis,) = (phrase for phrase in grounding.phrases if phrase.finding == "scoliosis")
    assert scoliosis.reason == NOT_LEARNT


def test_a_readable_report_stays_the_context(limited_grounder, radiograph):
    grounder = limited_grounder()
    grounding = Session(grounder).ground(radiograph, "Left effusion.")
    assert (grounder.asked, grounder.contexts) == ([["Left effusion"]], ["Left effusion."])
    assert grounding.warnings == ()


def test_a_grounder_that_tells_no_limits_is_asked_everything_in_the_reports_words(fake_grounder, radiograph):
    grounder = fake_grounder()
    grounding = Session(grounder).ground(radiograph, REPORT)
    assert grounder.contexts == [REPORT]
    assert "Dextroscoliosis" in grounder.asked[0]
    assert grounding.warnings == ()


def test_readable_and_unreadable_reports_of_a_batch_keep_apart(limited_grounder, radiograph):
    session = Session(limited_grounder())
    reports = ["Left effusion.", REPORT, "No pneumothorax.", RG1, "Left effusion."]
    for phrases in ("parser", "both"):
        many = list(session.ground_many([(radiograph, report) for report in reports], phrases))
        assert many == [session.ground(radiograph, report, phrases) for report in reports]
        assert [UNREAD in grounding.warnings for grounding in many] == [False, True, False, True, False]


def test_a_real_report_is_placed_by_finding_side_and_zone(limited_grounder, radiograph):
    grounder = limited_grounder()
    grounding = Session(grounder).ground(radiograph, RG1)
    (asked,) = grounder.asked
    assert len(set(asked)) == len(asked)
    assert {"right lower lobe nodule", "right mid lung nodule", "left mid lung nodule", "bilateral nodules"} <= {*asked}
    assert grounder.contexts == ["FINDINGS: " + " ".join(f"{text.capitalize()}." for text in asked)]
    placed = [phrase for phrase in grounding.phrases if phrase.boxes]
    assert {phrase.finding for phrase in placed} == {"mass", "nodule", "lung opacity"}
    assert len(placed) > len(asked)
    bilateral = [phrase for phrase in placed if phrase.side is Side.BILATERAL]
    assert {phrase.text for phrase in bilateral} == {"Multiple bilateral pulmonary nodules", "masses"}
    (catheter,) = (phrase for phrase in grounding.phrases if phrase.finding == "catheter")
    assert catheter.reason == NOT_LEARNT
