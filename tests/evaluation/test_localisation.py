import numpy as np
import pytest
from evaluation_fakes import Knowing, random_studies

from knowmvg.evaluation.localisation import COLUMNS, Scores, localise
from knowmvg.evaluation.metrics import BoxSets
from knowmvg.evaluation.protocol import teacher_forced
from knowmvg.evaluation.summary import scores_of, summarise


def test_boxes_score_as_samples_do():
    studies = random_studies(30)
    result = teacher_forced(Knowing(studies, move=lambda boxes: boxes * 0.9), studies)
    samples = result.samples
    predicted, reference = BoxSets.of(s.predicted for s in samples), BoxSets.of(s.reference for s in samples)
    found = Scores.of_boxes(predicted, reference, [s.patient for s in samples])
    assert found.table == pytest.approx(scores_of(samples).table)
    micro, macro, parts = localise(found, [s.finding for s in samples], resamples=100)
    summary = summarise(result, resamples=100)
    assert micro == summary.micro
    assert macro == summary.macro
    assert parts == summary.per_finding


def test_a_phrase_without_a_box_scores_0_and_is_counted():
    box = [[0, 0, 1, 1]]
    found = Scores.of_boxes(BoxSets.of([box, []]), BoxSets.of([box, box]), ["p", "q"])
    assert found.table.tolist() == [[1.0] * len(COLUMNS), [0.0] * len(COLUMNS)]
    assert localise(found, ["a", "b"])[2]["b"].n_without_box == 1


def test_mean_over_groups_leaves_out_those_that_a_resample_lacks():
    """One patient alone has finding b: resamples without it give the mean over the other finding."""
    table = np.repeat([[0.2], [0.2], [0.2], [0.2], [0.2], [1.0]], len(COLUMNS), axis=1)
    scores = Scores(table, list("pqrstu"), np.ones(6, dtype=bool))
    _, macro, parts = localise(scores, list("aaaaab"), resamples=500)
    assert macro.miou.value == pytest.approx(0.6)
    assert (macro.miou.low, macro.miou.high) == pytest.approx((0.2, 0.6))
    assert parts["b"].miou.low is None  # one patient
    assert (parts["b"].n_patients, parts["a"].n_patients) == (1, 5)


def test_no_phrase():
    found = Scores.of_boxes(BoxSets.of([]), BoxSets.of([]), [])
    assert found.table.shape == (0, len(COLUMNS))
    assert localise(found, [])[0].miou is None


def test_what_does_not_fit_is_refused():
    box = BoxSets.of([[[0, 0, 1, 1]]])
    with pytest.raises(ValueError, match="reference box"):
        Scores.of_boxes(box, BoxSets.of([[]]), ["p"])
    with pytest.raises(ValueError, match="expected a table"):
        Scores.of_boxes(box, box, ["p", "q"])
