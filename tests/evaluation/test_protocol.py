import numpy as np
import pytest
from evaluation_fakes import Knowing, Silent, answer, label, random_studies, study

from knowmvg.core.errors import ManifestError, ModelError
from knowmvg.core.grounder import Grounder
from knowmvg.core.records import Assertion, Evidence, Grounding
from knowmvg.evaluation.protocol import answers_to, generate, phrase_given, run, teacher_forced
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.summary import identify, summarise

BOX, OTHER = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 90.0, 90.0]
EACH = pytest.mark.parametrize("protocol", [teacher_forced, phrase_given, generate])


@EACH
def test_a_perfect_model(protocol):
    studies = random_studies(12)
    result = protocol(Knowing(studies), studies)
    assert isinstance(Knowing(studies), Grounder)
    assert len(result.samples) == sum(len(s.labels) - 1 for s in studies)
    assert all(sample.iou == sample.union_iou == 1.0 for sample in result.samples)
    assert all(all(sample.hits.values()) and set(sample.matched) == {1.0} for sample in result.samples)
    assert all(count.false == 0 and count.named == count.expected == count.correct for count in result.counts)


@EACH
def test_a_silent_model_scores_nothing(protocol):
    studies = random_studies(5)
    result = protocol(Silent(), studies)
    assert {sample.iou for sample in result.samples} == {0.0}
    assert not any(any(sample.hits.values()) for sample in result.samples)


@EACH
def test_answers_in_another_order(protocol):
    studies = random_studies(8)
    straight = protocol(Knowing(studies), studies)
    turned = protocol(Knowing(studies, order=lambda items: list(items)[::-1]), studies)
    assert straight == turned


@EACH
def test_studies_without_phrases(protocol):
    bare, absent = study(id="a"), study(label("x", assertion=Assertion.ABSENT), id="b")
    result = protocol(Knowing([bare, absent]), [bare, absent])
    assert result.samples == ()
    assert [count.expected for count in result.counts] == [0, 0]
    assert protocol(Silent(), []).counts == ()


@EACH
def test_the_model_never_sees_the_labels(protocol):
    studies = random_studies(3)
    model = Knowing(studies)
    protocol(model, studies)
    assert len(model.asked) == 3
    assert all(shown.labels == () for shown in model.asked)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_batches_and_lazy_studies_give_the_same(protocol):
    studies = random_studies(7)
    told = []
    whole = run(protocol, Knowing(studies), studies)
    lazy = run(
        protocol, Knowing(studies), lambda: iter(studies), batch_size=3, progress=lambda *news: told.append(news)
    )
    assert whole == lazy
    assert told == [(protocol.value, done, None) for done in (3, 6, 7)]


def test_what_a_sample_holds():
    one = study(
        label("gone", assertion=Assertion.RESOLVED),
        label("here", [BOX, OTHER], finding="edema", zone="lower"),
        id="s1",
        patient="p1",
    )

    class Half:
        def ground(self, studies):
            found = answer(one, [label("Here", [BOX])], score=0.25)
            evidence = Evidence(gate=0.75)
            return [found.model_copy(update={"phrases": (found.phrases[0].model_copy(update={"evidence": evidence}),)})]

        def ground_phrases(self, studies, queries):
            assert [(query.phrase.text, query.boxes) for query in queries[0]] == [("here", 2)]
            return self.ground(studies)

    for protocol in (teacher_forced, generate):
        (sample,) = protocol(Half(), [one]).samples
        assert sample.key == ("s1", 1)
        assert (sample.patient, sample.finding, sample.side, sample.zone) == ("p1", "edema", None, "lower")
        assert (sample.iou, sample.matched, sample.hits) == (0.5, (1.0, 0.0), {"0.1": True, "0.3": True, "0.5": True})
        assert sample.union_iou == pytest.approx(100 / 1700)
        assert sample.area == pytest.approx(1700 / 20_000)
        assert (sample.predicted, sample.scores, sample.gate) == ((tuple(BOX),), (0.25,), 0.75)


def test_a_phrase_that_is_not_named_scores_zero_in_generate_only():
    one = study(label("a", [BOX]), label("b", [OTHER]), label("no c", finding="c", assertion=Assertion.ABSENT))

    class NamesOne(Knowing):
        def ground(self, studies):
            return [answer(studies[0], [label("a", [BOX]), label("c", [OTHER], finding="c")])]

    model = NamesOne([one])
    assert [sample.iou for sample in teacher_forced(model, [one]).samples] == [1.0, 1.0]
    result = generate(model, [one])
    assert [(sample.iou, sample.produced) for sample in result.samples] == [(1.0, True), (0.0, False)]
    found = identify(result.counts)
    assert (found.n_expected, found.n_named, found.n_correct) == (2, 2, 1)
    assert (found.precision.value, found.recall.value, found.f1.value) == (0.5, 0.5, 0.5)
    assert (found.n_absent, found.false_box_rate.value) == (1, 1.0)


def test_given_phrases_come_without_their_number_of_boxes():
    one = study(label("a", [BOX, OTHER]), label("b", [OTHER]), label("no c", assertion=Assertion.ABSENT), id="s1")
    asked = []

    class First(Knowing):
        """Places the first box of "a" and finds nothing for "b"."""

        def ground_phrases(self, studies, queries):
            asked.extend((query.phrase.text, query.boxes) for query in queries[0])
            return [answer(studies[0], [label("a", [BOX]), label("b")])]

    result = phrase_given(First([one]), [one])
    assert asked == [("a", None), ("b", None)]  # neither the number nor the absent phrase is told
    assert {sample.protocol for sample in result.samples} == {Protocol.PHRASE_GIVEN}
    assert [(sample.iou, sample.predicted) for sample in result.samples] == [(0.5, (tuple(BOX),)), (0.0, ())]
    found = summarise(result, resamples=10)
    assert (found.micro.n_phrases, found.micro.n_without_box, found.micro.miou.value) == (2, 1, 0.25)
    assert found.identification is None  # naming means nothing where the phrases were told
    raw = answers_to(Protocol.PHRASE_GIVEN, First([one]), [one])
    assert [(a.index, a.query.phrase.text, len(a.phrase.boxes)) for a in raw[0]] == [(0, "a", 1), (1, "b", 0)]
    with pytest.raises(ValueError, match="gives the phrases"):
        answers_to(Protocol.GENERATE, First([one]), [one])


def test_placed_phrases_without_a_reference_box_count_for_naming_only():
    one = study(label("a", [BOX]), label("unmarked"))
    assert len(teacher_forced(Knowing([one]), [one]).samples) == 1
    result = generate(Knowing([one]), [one])
    assert len(result.samples) == 1
    assert result.counts[0].expected == result.counts[0].correct == 2


def test_phrases_are_asked_in_the_order_of_the_report():
    one = study(label("second", [BOX], span=(10, 16)), label("first", [OTHER], span=(0, 5)), label("unfound", [BOX]))
    seen = []

    class Listening(Knowing):
        def ground_phrases(self, studies, queries):
            seen.extend(query.phrase.text for query in queries[0])
            return super().ground_phrases(studies, queries)

    result = teacher_forced(Listening([one]), [one])
    assert seen == ["first", "second", "unfound"]
    assert [sample.iou for sample in result.samples] == [1.0] * 3


def test_broken_contracts_are_refused():
    studies = random_studies(2)

    class Broken(Knowing):
        change = staticmethod(lambda answers: answers)

        def ground(self, studies):
            return self.change(super().ground(studies))

        def ground_phrases(self, studies, queries):
            return self.change(super().ground_phrases(studies, queries))

    model = Broken(studies)
    model.change = lambda answers: answers[:1]
    for protocol in (teacher_forced, phrase_given, generate):
        with pytest.raises(ModelError, match="one a study"):
            protocol(model, studies)
    model.change = lambda answers: [Grounding(image_size=(640, 640), model="m") for _ in answers]
    for protocol in (teacher_forced, phrase_given, generate):
        with pytest.raises(ModelError, match="image of"):
            protocol(model, studies)
    model.change = lambda answers: [a.model_copy(update={"phrases": a.phrases[1:]}) for a in answers]
    with pytest.raises(ModelError, match="one answer"):
        teacher_forced(model, studies)


def test_an_identifier_twice_is_refused():
    twice = [study(id="a"), study(id="a")]
    with pytest.raises(ManifestError, match="twice"):
        generate(Silent(), twice)


def test_no_patient_means_a_patient_of_its_own():
    alone = [study(label("a", [BOX]), id=name) for name in "ab"]
    assert [sample.patient for sample in teacher_forced(Silent(), alone).samples] == ["a", "b"]


def test_area_counts_shared_pixels_once_and_stays_below_one():
    one = study(label("a", [[0, 0, 200, 100], [0, 0, 200, 100]]))
    (sample,) = teacher_forced(Silent(), [one]).samples
    assert sample.area == 1.0
    assert np.isfinite(sample.union_iou)
