"""Predictions from a file are scored as the same model's answers are; what is missing or unreadable scores 0."""

from __future__ import annotations

import json

import pytest
from evaluation_fakes import Deaf, Knowing, label, random_studies, study

from knowmvg.core.boxtext.reading import Fault, Item
from knowmvg.core.errors import ManifestError
from knowmvg.core.grounder import Grounder, Query
from knowmvg.evaluation.answered import SHOWN, answered
from knowmvg.evaluation.controls import Shuffled
from knowmvg.evaluation.evaluate import BLANK, PRIORS, SHUFFLED, evaluate
from knowmvg.evaluation.protocol import run
from knowmvg.evaluation.recorded import NO_SCORE, Outcome, Recorded
from knowmvg.evaluation.samples import Protocol
from knowmvg.sources.predictions.answers import Answer, Predictions

STUDIES = random_studies(12)
BOX, OTHER = (10.0, 10.0, 60.0, 50.0), (100.0, 20.0, 180.0, 90.0)


def moved(boxes):
    return boxes + 3.0


def items(one, move=moved, score=0.5):
    """What ``Knowing`` answers about a study, as a file holds it."""
    found = []
    for label_ in one.labels:
        boxes = tuple(tuple(map(float, box)) for box in move(label_.boxes))
        if label_.phrase.assertion.placed:
            found.append(Item(label_.phrase.text, boxes, (score,) * len(boxes)))
    return tuple(found)


WHOLE = Predictions(tuple(Answer(s.id, items(s)) for s in STUDIES))
ASKED = Predictions(tuple(Answer(s.id, (item,), (), item.phrase) for s in STUDIES for item in items(s)))


@pytest.mark.parametrize(
    ("protocol", "predictions"), [(p, WHOLE) for p in Protocol] + [(p, ASKED) for p in Protocol if p != "generate"]
)
def test_a_file_scores_as_the_model_that_wrote_it(protocol, predictions):
    live = run(protocol, Knowing(STUDIES, moved), STUDIES)
    recorded = Recorded(predictions)
    assert isinstance(recorded, Grounder)
    replay = run(protocol, recorded, STUDIES)
    assert replay.samples == live.samples
    assert [c.correct for c in replay.counts] == [c.correct for c in live.counts]
    counts = answered(recorded, predictions, protocol)
    assert counts.valid_rate == 1.0
    assert counts.asked == (len(STUDIES) if protocol == "generate" else len(live.samples))
    assert (counts.invalid, counts.missing, counts.n_unanswered, counts.faults) == (0, 0, 0, {})


def test_what_becomes_of_each_question():
    one = study(*(label(text, [BOX]) for text in ("boxed", "none", "junk", "lost", "boxed")), id="s", patient="p")
    silent = study(label("x", [BOX]), id="t", patient="p")
    predictions = Predictions(
        (
            Answer("s", (Item("boxed", (BOX,)),), (Fault.PARTIAL,), "boxed"),
            Answer("s", (Item("none"),), (), "none"),
            Answer("s", (Item("junk"),), (Fault.PROSE,), "junk"),
        ),
        tuple(f"u{i}" for i in range(SHOWN + 5)),
    )
    recorded = Recorded(predictions)
    result = run(Protocol.TEACHER_FORCED, recorded, [one, silent])
    assert [sample.iou for sample in result.samples] == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert result.samples[0].scores == (NO_SCORE,)
    assert list(recorded.outcomes.values()) == [
        Outcome.BOXED,
        Outcome.EMPTY,
        Outcome.INVALID,
        Outcome.MISSING,
        Outcome.BOXED,
        Outcome.MISSING,
    ]
    counts = answered(recorded, predictions, Protocol.TEACHER_FORCED)
    assert (counts.asked, counts.boxed, counts.empty, counts.invalid, counts.missing) == (6, 2, 1, 1, 2)
    assert counts.valid_rate == 0.5
    assert counts.faults == {"partial box": 1, "no box in the text": 1}
    assert (counts.unanswered, counts.n_unanswered) == (("t",), 1)
    assert (len(counts.unknown), counts.n_unknown) == (SHOWN, SHOWN + 5)
    assert json.loads(counts.to_json())["schema"] == "knowmvg.answered/1"
    page = " ".join(counts.notes())
    for words in ("Valid rate 50.0 %", "partial box 1", "1 studies have no answer: t", "25 studies", "no scores"):
        assert words in page


def test_a_phrase_that_the_model_named_itself_answers_the_question():
    one = study(label("here", [BOX]), label("unsaid", [OTHER]), id="s")
    for faults, expected in (((), Outcome.EMPTY), ((Fault.PARTIAL,), Outcome.EMPTY)):
        recorded = Recorded(Predictions((Answer("s", (Item(" Here ", (BOX,)),), faults),)))
        assert [s.iou for s in run(Protocol.TEACHER_FORCED, recorded, [one]).samples] == [1.0, 0.0]
        assert list(recorded.outcomes.values()) == [Outcome.BOXED, expected]
    recorded = Recorded(Predictions((Answer("s", (), (Fault.PROSE,)),)))
    run(Protocol.TEACHER_FORCED, recorded, [one])
    assert set(recorded.outcomes.values()) == {Outcome.INVALID}


def test_detectors_are_asked_by_finding():
    one = study(label("basal fluid on the left", [BOX], finding="pleural effusion"), id="s")
    predictions = Predictions((Answer("s", (Item("Pleural Effusion", (BOX,), (0.75,)),)),))
    assert run(Protocol.TEACHER_FORCED, Recorded(predictions), [one]).samples[0].iou == 0.0
    (sample,) = run(Protocol.TEACHER_FORCED, Recorded(predictions, key="finding"), [one]).samples
    assert (sample.iou, sample.scores) == (1.0, (0.75,))


def test_generated_answers_of_every_kind():
    studies = [study(label("x", [BOX]), id=name, patient=name) for name in ("named", "none", "junk", "lost")]
    predictions = Predictions(
        (
            Answer("named", (Item("x", (BOX,)), Item("unplaced"), Item(None, (OTHER,)))),
            Answer("none"),
            Answer("junk", (), (Fault.PROSE,)),
        )
    )
    recorded = Recorded(predictions)
    result = run(Protocol.GENERATE, recorded, studies)
    assert [(s.iou, s.produced) for s in result.samples] == [(1.0, True), (0.0, False), (0.0, False), (0.0, False)]
    assert [count.named for count in result.counts] == [2, 0, 0, 0]
    counts = answered(recorded, predictions, Protocol.GENERATE)
    assert (counts.unit, counts.boxed, counts.empty, counts.invalid, counts.missing) == ("study", 1, 1, 1, 1)
    assert counts.valid_rate == 0.5
    assert counts.unanswered == ("lost",)


def test_answers_to_given_phrases_are_no_generation():
    with pytest.raises(ManifestError, match="given"):
        Recorded(ASKED).refuse_unfit(Protocol.GENERATE)
    Recorded(ASKED).refuse_unfit(Protocol.TEACHER_FORCED)
    for protocol in Protocol:
        Recorded(WHOLE).refuse_unfit(protocol)


def test_a_file_cannot_be_asked_anew():
    exact = Predictions(tuple(Answer(s.id, items(s, move=lambda boxes: boxes)) for s in STUDIES))
    found = evaluate(
        Recorded(exact), STUDIES, training_studies=STUDIES, protocols=["teacher_forced"], replayed=True, resamples=20
    )
    assert {"model", *PRIORS} <= {row.name for row in found.part("teacher_forced").rows}
    live = evaluate(Deaf(STUDIES), STUDIES, training_studies=STUDIES, protocols=["teacher_forced"], resamples=20)
    rows = {row.name: row for row in live.part("teacher_forced").rows}
    assert rows.keys() - {row.name for row in found.part("teacher_forced").rows} == {SHUFFLED, BLANK}
    for row in found.part("teacher_forced").rows:
        assert row == rows[row.name]


def test_under_another_text_the_file_has_no_answer():
    recorded = Recorded(WHOLE)
    run(Protocol.TEACHER_FORCED, recorded, STUDIES, view=Shuffled(STUDIES))
    assert set(recorded.outcomes.values()) == {Outcome.MISSING}


def test_an_image_of_another_size_than_the_manifest_says():
    one = study(label("x", [BOX]), id="s", size=(200, 100))
    recorded = Recorded(Predictions((Answer("s", (Item("x", ((0.0, 0.0, 300.0, 90.0),)),)),)))
    with pytest.raises(ManifestError, match="200 x 100"):
        recorded.ground([one])


def test_nothing_asked_and_nothing_answered():
    recorded = Recorded(Predictions(()))
    counts = answered(recorded, Predictions(()), Protocol.GENERATE)
    assert (counts.asked, counts.valid_rate) == (0, None)
    assert counts.notes()[0].startswith("Valid rate -")
    (grounding,) = recorded.ground_phrases([STUDIES[0]], [[]])
    assert grounding.phrases == ()
    assert recorded.ground_phrases([], []) == []
    (asked,) = recorded.ground_phrases([STUDIES[0]], [[Query(STUDIES[0].labels[0].phrase)]])
    assert asked.phrases[0].reason == "missing answer"
