import numpy as np
import pytest
from evaluation_fakes import Knowing, Silent, answer, label, random_studies, study
from scipy.stats import spearmanr

from knowmvg.evaluation.calibration import calibrate
from knowmvg.evaluation.intervals import mean_interval
from knowmvg.evaluation.protocol import generate, teacher_forced
from knowmvg.evaluation.summary import UNNAMED, summarise


@pytest.fixture(scope="module")
def result():
    studies = random_studies(40)
    rng = np.random.default_rng(0)
    return teacher_forced(Knowing(studies, move=lambda boxes: boxes * rng.uniform(0.6, 1)), studies)


def test_micro_macro_and_findings_by_hand(result):
    found = summarise(result, resamples=200)
    ious = np.array([sample.iou for sample in result.samples])
    names = np.array([sample.finding for sample in result.samples])
    assert found.micro.miou.value == pytest.approx(ious.mean())
    assert found.micro.acc["0.5"].value == pytest.approx((ious >= 0.5).mean())
    by_finding = {name: ious[names == name].mean() for name in np.unique(names)}
    assert {name: part.miou.value for name, part in found.per_finding.items()} == pytest.approx(by_finding)
    assert found.macro.miou.value == pytest.approx(np.mean(list(by_finding.values())))
    assert found.macro.n_findings == 3
    assert sum(part.n_phrases for part in found.per_finding.values()) == found.micro.n_phrases == len(ious)
    assert found.micro.n_patients == 20
    assert found.identification is None  # the phrases were given


def test_intervals_are_those_of_the_bootstrap(result):
    found = summarise(result, resamples=300, seed=4)
    patients = [sample.patient for sample in result.samples]
    expected = mean_interval([s.iou for s in result.samples], patients, resamples=300, seed=4)
    assert found.micro.miou.model_dump() == pytest.approx(expected.model_dump())
    hits = mean_interval([s.hits["0.5"] for s in result.samples], patients, resamples=300, seed=4)
    assert found.micro.acc["0.5"].model_dump() == pytest.approx(hits.model_dump())


def test_nothing_to_score():
    found = summarise(generate(Silent(), []))
    assert (found.n_studies, found.micro.n_phrases, found.micro.miou, found.macro.miou) == (0, 0, None, None)
    assert found.micro.acc == {"0.1": None, "0.3": None, "0.5": None}
    assert found.identification.f1 is None
    assert found.identification.false_box_rate is None
    assert found.calibration.spearman is None


def test_naming_of_a_silent_model():
    found = summarise(generate(Silent(), random_studies(6))).identification
    assert (found.precision, found.recall.value, found.f1.value) == (None, 0.0, 0.0)
    assert (found.n_absent, found.false_box_rate.value) == (6, 0.0)


def test_phrases_without_a_finding_have_a_group_of_their_own():
    one = study(label("a", [[0, 0, 9, 9]]))
    assert list(summarise(teacher_forced(Knowing([one]), [one])).per_finding) == [UNNAMED]


def test_calibration_against_scipy():
    rng = np.random.default_rng(5)
    studies = [study(label("a", [[0, 0, 50, 50]]), id=f"s{i}") for i in range(30)]
    scores = dict(zip([s.id for s in studies], rng.uniform(0, 1, 30), strict=True))
    widths = dict(zip(scores, rng.uniform(10, 50, 30), strict=True))

    class Scored:
        def ground(self, studies):
            return [answer(s, [label("a", [[0, 0, widths[s.id], 50]])], score=scores[s.id]) for s in studies]

        def ground_phrases(self, studies, queries):
            return self.ground(studies)

    found = calibrate(teacher_forced(Scored(), studies).samples)
    ious = [widths[name] / 50 for name in scores]
    assert found.n == 30
    assert found.spearman == pytest.approx(spearmanr(list(scores.values()), ious).statistic)
    assert found.gap == pytest.approx(np.mean(list(scores.values())) - np.mean(ious))


def test_calibration_of_equal_scores_is_undefined(result):
    assert calibrate(result.samples).spearman is None
    assert calibrate(result.samples[:2]).gap is not None
