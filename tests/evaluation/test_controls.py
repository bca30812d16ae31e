import numpy as np
import pytest
from evaluation_fakes import Deaf, label, random_studies, study

from knowmvg.core.grounder import Grounder, Query
from knowmvg.core.records import Assertion, Phrase, Side
from knowmvg.evaluation.controls import CLASS_MEAN_BOX, MEAN_BOX, TEXT_ORACLE, MeanBox, Shuffled, blank
from knowmvg.evaluation.protocol import run, teacher_forced
from knowmvg.evaluation.samples import Protocol

HEART = {"finding": "cardiomegaly"}
FLUID = {"finding": "pleural effusion"}
TRAINING = [
    study(label("heart", [[40, 40, 120, 80]], **HEART), id="a"),
    study(label("heart", [[60, 60, 140, 100]], **HEART), id="b"),
    study(label("left fluid", [[120, 60, 160, 100]], side=Side.LEFT, **FLUID), id="c"),
    study(label("fluid", [[10, 60, 50, 100], [120, 60, 160, 100]], side=Side.BILATERAL, **FLUID), id="d"),
    # twice the size, boxes not in order
    study(
        label("fluid", [[260, 140, 340, 200], [40, 140, 120, 200]], side=Side.BILATERAL, **FLUID),
        id="e",
        size=(400, 200),
    ),
    study(label("no heart", assertion=Assertion.ABSENT, **HEART), id="f"),
]


def boxes(prior, phrase, n, size=(200, 100)):
    (found,) = prior.ground_phrases([study(size=size)], [[Query(phrase, n)]])
    return [list(region.xyxy) for region in found.phrases[0].boxes]


def test_class_means_are_the_means_of_the_training_boxes():
    prior = MeanBox.fit(TRAINING, CLASS_MEAN_BOX)
    assert isinstance(prior, Grounder)
    heart = Phrase(text="a big heart", **HEART)
    assert boxes(prior, heart, 1) == [pytest.approx([50, 50, 130, 90])]
    assert boxes(prior, heart, 1, size=(400, 200)) == [pytest.approx([100, 100, 260, 180])]
    pair = boxes(prior, Phrase(text="fluid", **FLUID), 2)
    assert pair == [pytest.approx([15, 65, 55, 100]), pytest.approx([125, 65, 165, 100])]


def test_the_mean_box_knows_no_finding():
    prior = MeanBox.fit(TRAINING, MEAN_BOX)
    expected = np.mean([[40, 40, 120, 80], [60, 60, 140, 100], [120, 60, 160, 100]], axis=0).tolist()
    for phrase in (Phrase(text="x", **HEART), Phrase(text="y", **FLUID)):
        assert boxes(prior, phrase, 1) == [pytest.approx(expected)]


def test_the_text_oracle_falls_back_field_by_field():
    prior = MeanBox.fit(TRAINING, TEXT_ORACLE)
    stated = Phrase(text="x", side=Side.LEFT, **FLUID)
    assert boxes(prior, stated, 1) == [pytest.approx([120, 60, 160, 100])]
    unseen_zone = stated.model_copy(update={"zone": "basal"})
    assert boxes(prior, unseen_zone, 1) == boxes(prior, stated, 1)
    unseen_side = stated.model_copy(update={"side": Side.RIGHT})
    assert boxes(prior, unseen_side, 1) == boxes(prior, stated, 1)  # the finding's only phrase with one box
    unseen_finding = Phrase(text="x", finding="mass")
    assert boxes(prior, unseen_finding, 1) == boxes(MeanBox.fit(TRAINING, MEAN_BOX), unseen_finding, 1)


@pytest.mark.parametrize("fields", [MEAN_BOX, CLASS_MEAN_BOX])
def test_fewer_fields_of_one_fit(fields):
    shorter, alone = MeanBox.fit(TRAINING, TEXT_ORACLE).with_fields(len(fields)), MeanBox.fit(TRAINING, fields)
    for label_of in (item.phrase for one in TRAINING for item in one.labels):
        for n in (None, 1, 2, 3):
            assert boxes(shorter, label_of, n) == boxes(alone, label_of, n)


def test_numbers_of_boxes_that_training_never_had():
    prior = MeanBox.fit(TRAINING, CLASS_MEAN_BOX)
    three = boxes(prior, Phrase(text="x", **HEART), 3)
    units = [[40, 40, 120, 80], [60, 60, 140, 100], [120, 60, 160, 100], [10, 60, 50, 100], [120, 60, 160, 100]]
    units += [[20, 70, 60, 100], [130, 70, 170, 100]]
    assert three == [pytest.approx(np.mean(units, axis=0).tolist())] * 3
    assert boxes(prior, Phrase(text="x", **HEART), 0) == []


def test_the_usual_number_of_boxes_where_none_is_asked_for():
    prior = MeanBox.fit(TRAINING, CLASS_MEAN_BOX)
    assert len(boxes(prior, Phrase(text="x", **FLUID), None)) == 2
    assert len(boxes(prior, Phrase(text="x", **HEART), None)) == 1
    assert len(boxes(prior, Phrase(text="x", finding="mass"), None)) == 1


def test_a_prior_scores_perfectly_where_all_boxes_are_alike():
    same = [study(label(f"t{i}", [[0, 0, 50, 50]], **HEART), id=f"s{i}") for i in range(4)]
    prior = MeanBox.fit(same, CLASS_MEAN_BOX)
    for protocol in Protocol:
        result = run(protocol, prior, same, oracle=True)
        assert [sample.iou for sample in result.samples] == pytest.approx([1.0] * 4)
        assert [sample.scores for sample in result.samples] == [pytest.approx((1.0,))] * 4


def test_no_training_box():
    with pytest.raises(ValueError, match="training phrases with boxes"):
        MeanBox.fit([study()], MEAN_BOX)


def test_blank_keeps_all_but_the_picture():
    one = random_studies(1)[0]
    shown = blank(one)
    assert shown.image.size == one.image.size
    assert np.ptp(shown.image.pixels) == 0
    assert shown.image.pixels[0, 0] == pytest.approx(one.image.pixels.mean())
    assert (shown.report, shown.labels) == (one.report, one.labels)
    assert shown.id != one.id


def texts(study):
    return [item.phrase.text for item in study.labels if item.phrase.assertion.placed]


def test_shuffling_takes_the_text_of_another_patient():
    studies = random_studies(20)
    view = Shuffled(studies, seed=1)
    owner = {text: s.patient for s in studies for text in texts(s)}
    for one in studies:
        shown = view(one)
        assert {owner[text] for text in texts(shown)}.isdisjoint({one.patient})
        assert len({owner[text] for text in texts(shown)}) == 1
        assert len(texts(shown)) >= len(texts(one))
        assert shown.image is one.image
        own = [item.boxes.tolist() for item in one.labels if item.phrase.assertion.placed]
        lent = [item.boxes.tolist() for item in shown.labels if item.phrase.assertion.placed]
        assert lent[: len(own)] == own
    assert texts(view(studies[0])) == texts(Shuffled(studies, seed=1)(studies[0]))
    assert any(texts(view(s)) != texts(Shuffled(studies, seed=2)(s)) for s in studies)


def test_shuffling_repeats_the_phrases_of_a_short_donor():
    long = study(*(label(f"l{k}", [[0, 0, 9, 9]]) for k in range(3)), id="long", patient="p")
    short = study(label("only", [[0, 0, 9, 9]]), id="short", patient="q")
    view = Shuffled([long, short])
    assert texts(view(long)) == ["only"] * 3
    assert texts(view(short)) == ["l0", "l1", "l2"]


def test_shuffling_needs_two_patients():
    lonely = [study(label("a", [[0, 0, 9, 9]]), id=name, patient="p") for name in "ab"]
    with pytest.raises(ValueError, match="two patients"):
        Shuffled(lonely)


def test_a_model_that_reads_no_phrase_is_found_out_by_shuffling():
    studies = random_studies(20, seed=3)
    model = Deaf(studies)
    plain = teacher_forced(model, studies)
    shuffled = run(Protocol.TEACHER_FORCED, model, studies, view=Shuffled(studies))
    assert [s.iou for s in plain.samples] == [s.iou for s in shuffled.samples] == [1.0] * len(plain.samples)
    assert [s.finding for s in plain.samples] == [s.finding for s in shuffled.samples]  # of the study's own phrase


def test_a_view_with_too_few_phrases_is_refused():
    studies = random_studies(2)
    with pytest.raises(ValueError, match="placed phrases or more"):
        run(Protocol.GENERATE, Deaf(studies), studies, view=lambda s: study(id=s.id))
