from __future__ import annotations

import pytest

from knowmvg.core.records import Assertion, Evidence, GroundedPhrase, Phrase, Region, Section, Side
from knowmvg.inference.reconcile import NOT_NAMED, in_report_order, join, likeness, pair, reason_without_box, settled

BOX = (Region(xyxy=(1, 2, 3, 4), score=0.9),)


def seen(text: str, **words: object) -> GroundedPhrase:
    return GroundedPhrase(text=text, boxes=BOX, evidence=Evidence(gate=0.5), **words)


def placed(phrases: list[Phrase]) -> list[GroundedPhrase]:
    return [GroundedPhrase(**p.model_dump(), boxes=(Region(xyxy=(5, 6, 7, 8), score=0.4),)) for p in phrases]


def joined(answer: list[GroundedPhrase], parsed: list[Phrase]) -> list[GroundedPhrase]:
    pairing = pair(answer, parsed)
    return list(join(answer, parsed, pairing, placed([parsed[k] for k in pairing.asked])))


def test_overlapping_words_keep_the_models_boxes_and_the_parsers_reading():
    parsed = Phrase(
        text="small left effusion", span=(10, 29), finding="pleural effusion", side=Side.LEFT, assertion="possible"
    )
    (phrase,) = joined([seen("left effusion", span=(16, 29))], [parsed])
    assert phrase.boxes == BOX
    assert (phrase.text, phrase.span, phrase.finding) == (parsed.text, parsed.span, parsed.finding)
    assert phrase.assertion is Assertion.POSSIBLE
    assert phrase.evidence == Evidence(gate=0.5, source="both")


def test_the_same_finding_and_side_match_without_a_span():
    parsed = Phrase(text="left basal atelectasis", span=(0, 22), finding="atelectasis", side=Side.LEFT)
    (phrase,) = joined([seen("atelectasis on the left", finding="atelectasis", side=Side.LEFT)], [parsed])
    assert phrase.evidence is not None
    assert phrase.evidence.source == "both"


def test_a_phrase_that_only_the_parser_read_is_asked_for():
    parsed = Phrase(text="edema", span=(0, 5), finding="edema")
    (phrase,) = joined([], [parsed])
    assert phrase.boxes[0].xyxy == (5, 6, 7, 8)
    assert phrase.evidence is not None
    assert phrase.evidence.source == "parser"


def test_a_phrase_that_only_the_model_named_is_kept():
    (phrase,) = joined([seen("nodule", finding="nodule")], [])
    assert phrase.boxes == BOX
    assert phrase.evidence is not None
    assert phrase.evidence.source == "model"


@pytest.mark.parametrize("assertion", [Assertion.ABSENT, Assertion.RESOLVED, Assertion.PRIOR])
def test_the_models_box_for_a_refused_phrase_is_dropped(assertion):
    parsed = Phrase(text="pneumothorax", span=(3, 15), finding="pneumothorax", assertion=assertion)
    (phrase,) = joined([seen("pneumothorax", span=(3, 15))], [parsed])
    assert phrase.boxes == ()
    assert phrase.reason
    assert phrase.assertion is assertion


def test_absent_on_one_side_leaves_the_other_side_alone():
    absent = Phrase(
        text="right effusion", span=(3, 17), finding="pleural effusion", side=Side.RIGHT, assertion="absent"
    )
    phrases = joined([seen("left effusion", span=(20, 33), finding="pleural effusion", side=Side.LEFT)], [absent])
    assert [bool(phrase.boxes) for phrase in phrases] == [False, True]


def test_a_model_phrase_in_the_indication_loses_its_boxes():
    (phrase,) = joined([seen("pneumonia", span=(12, 21), section=Section.INDICATION)], [])
    assert phrase.boxes == ()
    assert "indication" in phrase.reason


def test_two_mentions_share_one_model_phrase():
    first = Phrase(text="left effusion", span=(0, 13), finding="pleural effusion", side=Side.LEFT)
    again = Phrase(text="effusion", span=(40, 48), finding="pleural effusion", section=Section.IMPRESSION)
    phrases = joined([seen("left effusion", span=(0, 13))], [first, again])
    assert phrases[0].boxes == BOX
    assert pair([seen("x", finding="pleural effusion", side=Side.LEFT)], [first, again]).partner == {0: 0, 1: 0}


def test_the_likest_of_several_model_phrases_is_the_partner():
    answer = [
        seen("nodule", finding="nodule", side=Side.LEFT, zone="upper"),
        seen("nodule", finding="nodule", side=Side.RIGHT, zone="upper"),
    ]
    parsed = Phrase(text="right upper nodule", span=(0, 18), finding="nodule", side=Side.RIGHT, zone="upper")
    pairing = pair(answer, [parsed])
    assert pairing.partner == {0: 1}
    assert pairing.kept == (0,)


def test_a_model_phrase_without_box_is_no_partner():
    parsed = Phrase(text="edema", span=(0, 5), finding="edema")
    lost = GroundedPhrase(text="edema", span=(0, 5), finding="edema", reason="no box")
    assert pair([lost], [parsed]).asked == (0,)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"finding": "edema"}, {"finding": "nodule"}),
        ({"finding": "nodule", "side": "left"}, {"finding": "nodule", "side": "right"}),
        ({"finding": "nodule", "zone": "upper"}, {"finding": "nodule", "zone": "lower"}),
        ({}, {}),
        ({"span": (0, 5)}, {"span": (5, 9)}),
    ],
)
def test_different_findings_are_unlike(a, b):
    assert likeness(Phrase(text="a", **a), Phrase(text="b", **b)) == 0


def test_likeness_is_symmetric_and_grows_with_agreement():
    a = Phrase(text="a", span=(0, 5), finding="nodule", side=Side.LEFT, zone="upper")
    b = Phrase(text="b", span=(3, 9), finding="nodule", side=Side.LEFT)
    assert likeness(a, b) == likeness(b, a)
    assert likeness(a, a) > likeness(a, b) > likeness(a, Phrase(text="c", finding="nodule")) > 0


def test_every_placeless_section_and_assertion_has_its_reason():
    reasons = {reason_without_box(Phrase(text="x", assertion=a)) for a in Assertion if not a.placed}
    reasons |= {reason_without_box(Phrase(text="x", section=s)) for s in ("indication", "comparison", "technique")}
    assert None not in reasons
    assert len(reasons) == 6
    assert reason_without_box(Phrase(text="x", assertion="possible", section="impression")) is None


def test_settled_takes_boxes_from_an_absent_answer():
    answer = settled(seen("x", assertion="absent"), "model")
    assert answer.boxes == ()
    assert answer.reason


def test_report_order_puts_unfound_phrases_last():
    phrases = [seen("c"), seen("b", span=(5, 6)), seen("a", span=(0, 1))]
    assert [phrase.text for phrase in in_report_order(phrases)] == ["a", "b", "c"]


LEARNT = frozenset({"pleural effusion", "nodule"})


def trusted(answer: list[GroundedPhrase], parsed: list[Phrase]) -> list[GroundedPhrase]:
    pairing = pair(answer, parsed, LEARNT).trusting(answer, parsed, LEARNT)
    return list(join(answer, parsed, pairing, placed([parsed[k] for k in pairing.asked]), LEARNT))


def test_a_model_that_reads_the_report_keeps_its_words_under_the_parsers_reading():
    parsed = Phrase(text="effusion", span=(22, 30), finding="pleural effusion", assertion="possible")
    (phrase,) = trusted([seen("free-flowing right effusion", span=(3, 30))], [parsed])
    assert (phrase.text, phrase.span) == ("free-flowing right effusion", (3, 30))
    assert (phrase.finding, phrase.assertion) == ("pleural effusion", Assertion.POSSIBLE)
    assert phrase.boxes == BOX


def test_a_second_mention_keeps_the_parsers_words():
    effusion = {"finding": "pleural effusion"}
    parsed = [Phrase(text="effusion", span=(8, 16), **effusion), Phrase(text="effusions", span=(40, 49), **effusion)]
    phrases = trusted([seen("left effusion", span=(3, 16), **effusion)], parsed)
    assert [phrase.text for phrase in phrases] == ["left effusion", "effusions"]


def test_a_model_that_reads_the_report_is_asked_for_the_findings_that_it_has_learnt_only():
    parsed = [
        Phrase(text="effusion", span=(0, 8), finding="pleural effusion"),
        Phrase(text="granuloma", span=(12, 21), finding="calcified granuloma"),
    ]
    effusion, granuloma = trusted([], parsed)
    assert effusion.boxes[0].xyxy == (5, 6, 7, 8)
    assert not granuloma.boxes
    assert granuloma.reason == NOT_NAMED


def test_a_model_that_reads_the_report_repeats_no_phrase():
    nodule = {"finding": "nodule"}
    parsed = [Phrase(text="nodule", span=(0, 6), **nodule)]
    assert len(trusted([seen("Nodule", span=(0, 6), **nodule), seen("nodule", **nodule)], parsed)) == 1
    assert len(trusted([seen("Nodule", span=(0, 6), **nodule), seen("mass", **nodule)], parsed)) == 2
