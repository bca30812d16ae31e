import numpy as np
import pytest
from evaluation_fakes import label, study
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from knowmvg.core.grounder import Grounder, Query
from knowmvg.core.records import Assertion, Phrase
from knowmvg.evaluation.nearest_phrase import NearestPhrase, WordVectors
from knowmvg.evaluation.protocol import run, teacher_forced
from knowmvg.evaluation.samples import Protocol

LEFT, RIGHT, HEART = [120, 60, 160, 100], [20, 60, 60, 100], [60, 40, 140, 90]
TRAINING = [
    study(label("small left pleural effusion", [LEFT]), id="a"),
    study(label("small right pleural effusion", [RIGHT]), id="b"),
    study(label("Cardiomegaly", [HEART]), label("pneumothorax", assertion=Assertion.ABSENT), id="c"),
    study(label("bilateral pleural effusions", [RIGHT, LEFT]), id="d"),
]
words = st.lists(
    st.sampled_from(["left", "right", "small", "large", "effusion", "nodule", "in", "the", "lung"]),
    min_size=1,
    max_size=6,
)


def boxes(grounder, text, n=None, size=(200, 100)):
    (found,) = grounder.ground_phrases([study(size=size)], [[Query(Phrase(text=text), n)]])
    return [list(region.xyxy) for region in found.phrases[0].boxes]


@settings(deadline=None, max_examples=50)
@given(st.lists(words, min_size=1, max_size=8), words)
def test_cosines_are_those_of_scikit_learn(texts, asked):
    texts, asked = [" ".join(t) for t in texts], " ".join(asked)
    reference = TfidfVectorizer(token_pattern=r"\w+").fit(texts)
    expected = (reference.transform(texts) @ reference.transform([asked]).T).toarray()[:, 0]
    assert WordVectors(texts).similarity(asked) == pytest.approx(expected, abs=1e-12)


def test_the_nearest_words_lend_their_boxes():
    grounder = NearestPhrase.fit(TRAINING)
    assert isinstance(grounder, Grounder)
    assert boxes(grounder, "Large LEFT pleural effusion.", 1) == [pytest.approx(LEFT)]
    assert boxes(grounder, "a right effusion", 1) == [pytest.approx(RIGHT)]
    assert boxes(grounder, "cardiomegaly") == [pytest.approx(HEART)]
    assert boxes(grounder, "cardiomegaly", size=(400, 200)) == [pytest.approx([2 * v for v in HEART])]
    assert boxes(grounder, "left effusion", 2) == [pytest.approx(RIGHT), pytest.approx(LEFT)]  # the only pair
    assert boxes(grounder, "left effusion", 0) == []


def test_equally_near_phrases_give_their_mean():
    twice = [study(label("nodule", [b]), id=str(i)) for i, b in enumerate([[0, 0, 10, 10], [20, 20, 50, 50]])]
    grounder = NearestPhrase.fit(twice)
    assert boxes(grounder, "nodule") == [pytest.approx([10, 10, 30, 30])]
    assert boxes(grounder, "unknown words") == [pytest.approx([10, 10, 30, 30])]  # all are equally far
    assert boxes(NearestPhrase.fit(twice[::-1]), "nodule") == boxes(grounder, "nodule")


def test_a_number_of_boxes_that_training_never_had():
    assert boxes(NearestPhrase.fit(TRAINING), "right effusion", 3) == [pytest.approx(RIGHT)]


def test_it_knows_its_own_training_phrases_by_heart():
    grounder = NearestPhrase.fit(TRAINING)
    assert [sample.iou for sample in teacher_forced(grounder, TRAINING).samples] == pytest.approx([1.0] * 4)
    told = run(Protocol.GENERATE, grounder, TRAINING, oracle=True)
    assert [sample.iou for sample in told.samples] == pytest.approx([1.0] * 4)


def test_words_in_another_order_are_the_same_bag():
    pair = [
        study(label("left lung, right side", [LEFT]), id="a"),
        study(label("right lung left side", [RIGHT]), id="b"),
    ]
    assert boxes(NearestPhrase.fit(pair), "left lung right side") == [pytest.approx(np.mean([LEFT, RIGHT], axis=0))]


def test_no_training_box():
    with pytest.raises(ValueError, match="training phrases with boxes"):
        NearestPhrase.fit([study()])
    with pytest.raises(ValueError, match="at least one text"):
        WordVectors([])
