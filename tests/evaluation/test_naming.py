import pytest
from evaluation_fakes import answer, label, study

from knowmvg.core.records import Assertion, Phrase, Side, normalised
from knowmvg.evaluation.naming import false_boxes, match_phrases, named

BOX = [[0, 0, 10, 10]]


def phrases(*texts):
    return [Phrase(text=text) for text in texts]


def test_case_and_white_space_do_not_count():
    assert normalised("  Small\n LEFT  effusion ") == "small left effusion"
    assert match_phrases(phrases("Small  LEFT effusion"), phrases("small left effusion")) == [0]
    assert match_phrases(phrases("small left effusions"), phrases("small left effusion")) == [None]


def test_each_prediction_names_one_phrase():
    assert match_phrases(phrases("a"), phrases("a", "a")) == [0, None]
    assert match_phrases(phrases("a", "a", "b"), phrases("b", "a")) == [2, 0]
    assert match_phrases([], phrases("a")) == [None]
    assert match_phrases(phrases("a"), []) == []


def test_equal_spans_go_together_first():
    reference = [Phrase(text="a", span=(0, 1)), Phrase(text="a", span=(5, 6))]
    predicted = [Phrase(text="a", span=(5, 6)), Phrase(text="a")]
    assert match_phrases(predicted, reference) == [1, 0]


def false(predicted, *reference):
    return false_boxes(named(answer(study(), predicted).phrases), [item.phrase for item in reference])


EFFUSION = {"finding": "pleural effusion"}
ABSENT = {"assertion": Assertion.ABSENT}


@pytest.mark.parametrize("assertion", [Assertion.ABSENT, Assertion.RESOLVED, Assertion.PRIOR])
def test_a_box_for_the_text_of_an_unplaced_phrase(assertion):
    reference = label("Pleural  effusion", assertion=assertion)
    assert false([label("pleural effusion", BOX)], reference) == [True]
    assert false([label("pleural effusion")], reference) == [False]
    assert false([label("edema", BOX)], reference) == [False]


def test_unplaced_phrases_alone_are_counted():
    assert false([label("edema", BOX)], label("edema", BOX), label("nodule", **ABSENT)) == [False]
    assert false([label("edema", BOX)], label("edema", BOX)) == []


@pytest.mark.parametrize(
    ("denied", "given", "is_false"),
    [
        (Side.LEFT, Side.LEFT, True),
        (Side.LEFT, Side.RIGHT, False),
        (None, Side.LEFT, True),  # "no effusion" denies either side
        (Side.BILATERAL, Side.RIGHT, True),
        (Side.LEFT, None, False),  # may be the other side
        (None, None, True),
    ],
)
def test_a_box_for_the_finding_where_it_is_denied(denied, given, is_false):
    reference = label("no such thing", side=denied, **EFFUSION, **ABSENT)
    assert false([label("fluid", BOX, side=given, **EFFUSION)], reference) == [is_false]


def test_a_finding_that_the_report_also_states_there_is_no_false_box():
    denied = label("no effusion", side=None, **EFFUSION, **ABSENT)
    stated = label("left effusion", BOX, side=Side.LEFT, **EFFUSION)
    assert false([label("left fluid", BOX, side=Side.LEFT, **EFFUSION)], denied, stated) == [False]
    assert false([label("right fluid", BOX, side=Side.RIGHT, **EFFUSION)], denied, stated) == [True]
    assert false([label("fluid", BOX, **EFFUSION)], denied, stated) == [False]


def test_an_answer_to_a_stated_phrase_is_no_false_box_of_a_denied_one_with_the_same_words():
    stated, denied = label("effusion", BOX), label("effusion", **ABSENT)
    assert false([label("effusion", BOX)], stated, denied) == [False]
    assert false([label("effusion", BOX), label("effusion", BOX)], stated, denied) == [True]


def test_a_box_for_denied_words_by_their_span():
    denied = label("left effusion", span=(3, 16), **ABSENT)
    assert false([label("effusion", BOX, span=(8, 16))], denied) == [True]
    assert false([label("effusion", BOX, span=(16, 24))], denied) == [False]


def test_a_reader_names_findings_of_bare_words():
    def reader(text):
        return ("pleural effusion", Side.LEFT) if text == "fluid" else (None, None)

    answered = named(answer(study(), [label("fluid", BOX), label("other", BOX, finding="edema")]).phrases, reader)
    assert [(p.finding, p.side) for p in answered] == [("pleural effusion", Side.LEFT), ("edema", None)]
    assert false_boxes(answered, [label("x", side=Side.LEFT, **EFFUSION, **ABSENT).phrase]) == [True]


def test_absent_answers_without_a_box_name_nothing():
    answered = answer(study(), [label("edema"), label("mass", **ABSENT), label("nodule", BOX, **ABSENT)]).phrases
    assert [phrase.text for phrase in named(answered)] == ["edema", "nodule"]


def test_a_listed_finding_that_nobody_labels_is_neither_right_nor_wrong():
    device = {"finding": "catheter"}
    listed = answer(study(), [label("port", **device), label("line", BOX, **device), label("effusion", **EFFUSION)])
    named_texts = [phrase.text for phrase in named(listed.phrases, labelled={"pleural effusion"})]
    assert named_texts == ["line", "effusion"]  # a box is a claim about the image, whatever the finding
