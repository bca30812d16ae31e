"""Every metric of a row against its function, by hand, and at the edges."""

import numpy as np
import pytest
from evaluation_fakes import Knowing, Silent, answer, label, random_studies, study

from knowmvg.core.records import Assertion
from knowmvg.evaluation.intervals import mean_interval
from knowmvg.evaluation.metrics import BoxSets, coco_ap, dice_boxes, e_aurc, f1s_at, group_means
from knowmvg.evaluation.protocol import generate, teacher_forced
from knowmvg.evaluation.score_table import score_table
from knowmvg.evaluation.scores import score_samples
from knowmvg.evaluation.summary import summarise
from knowmvg.evaluation.tables import Row


@pytest.fixture(scope="module")
def samples():
    """One to two boxes a phrase, shrunk; every seventh phrase without a box; scores of any value."""
    studies, rng = random_studies(30), np.random.default_rng(0)
    found = list(teacher_forced(Knowing(studies, move=lambda boxes: boxes * rng.uniform(0.6, 1)), studies).samples)
    for i, sample in enumerate(found):
        scores = tuple(rng.uniform(0, 1, len(sample.predicted)))
        lost = {"predicted": (), "scores": (), "iou": 0.0, "union_iou": 0.0} if i % 7 == 0 else {"scores": scores}
        found[i] = sample.model_copy(update=lost)
    return found


def test_means_have_the_bootstraps_intervals(samples):
    scores = score_samples(samples, resamples=200, seed=3)
    sets = BoxSets.of([s.predicted for s in samples]), BoxSets.of([s.reference for s in samples])
    patients = [s.patient for s in samples]
    for name, values in (
        ("dice_box", dice_boxes(*sets)),
        ("f1@0.5", f1s_at(*sets, 0.5)),
        ("all_found@0.1", f1s_at(*sets, 0.1) == 1),
        ("valid_rate", [len(s.predicted) > 0 for s in samples]),
    ):
        expected = mean_interval(values, patients, resamples=200, seed=3)
        assert scores[name].model_dump() == pytest.approx(expected.model_dump()), name
    boxed = [s.iou for s in samples if s.predicted]
    assert scores["miou_box_valid_only"].value == pytest.approx(np.mean(boxed))
    assert scores["miou_box_valid_only"].low < scores["miou_box_valid_only"].value


def test_figures_over_all_phrases(samples):
    scores = score_samples(samples, resamples=10)
    ious = np.array([s.iou for s in samples])
    sets = BoxSets.of([s.predicted for s in samples]), BoxSets.of([s.reference for s in samples])
    flat = [score for s in samples for score in s.scores]
    assert scores["coco_ap50"].value == coco_ap(sets[0], flat, sets[1]).ap50
    assert scores["coco_ap_image"].value != scores["coco_ap"].value
    ranked = [np.mean(s.scores) if s.scores else -1 for s in samples]
    assert scores["e_aurc_iou"].value == pytest.approx(e_aurc(ranked, 1 - ious))
    assert scores["aurc_random@0.5"].value == pytest.approx((ious < 0.5).mean())
    by_finding = group_means(ious, [s.finding for s in samples])
    squares = by_finding.counts.astype(float) ** 2
    expected = np.average(by_finding.means, weights=squares)
    assert scores["legacy:g2g_weighted_average"].value == pytest.approx(expected)
    assert scores["coco_ap"].low is None


def test_a_perfect_model_and_a_silent_one():
    studies = random_studies(12)
    perfect = score_samples(teacher_forced(Knowing(studies), studies).samples, resamples=10)
    for name in ("valid_rate", "dice_box", "f1@0.5", "all_found@0.5", "coco_ap", "coco_ap_image"):
        assert perfect[name].value == pytest.approx(1), name
    assert perfect["ece_iou"].value == pytest.approx(0.5)  # it says 0.5 and is right
    silent = score_samples(generate(Silent(), studies).samples, resamples=10)
    for name in ("valid_rate", "dice_box", "f1@0.1", "all_found@0.1", "coco_ap", "coco_ap_image"):
        assert silent[name].value == 0, name
    for name in ("miou_box_valid_only", "ece_iou", "ece@0.5", "legacy:umedground_first_box_miou"):
        assert silent[name] is None, name
    assert silent["aurc_iou"].value == 1


def test_boxes_without_scores_have_no_ranking(samples):
    bare = [sample.model_copy(update={"scores": ()}) for sample in samples]
    scores = score_samples(bare, resamples=10)
    assert "coco_ap" not in scores
    assert "ece_iou" not in scores
    assert scores["f1@0.5"] is not None


def test_no_samples():
    assert score_samples([]) == {}


def test_names_by_words_and_by_finding():
    """One phrase right, one with other words for its finding, one absent finding left alone."""
    one = study(
        label("left effusion", [[0, 0, 9, 9]], finding="effusion"),
        label("right opacity", [[5, 5, 20, 20]], finding="opacity"),
        label("no edema", finding="edema", assertion=Assertion.ABSENT),
    )
    said = [label("left effusion", [[0, 0, 9, 9]], finding="effusion"), label("opacity", finding="opacity")]

    class Model:
        def ground(self, studies):
            return [answer(s, said) for s in studies]

    found = summarise(generate(Model(), [one]), resamples=10).identification
    assert found.f1.value == 0.5
    assert found.token_f1.value == pytest.approx((1 + 2 / 3) / 2)
    assert found.finding_f1.value == 1


def test_the_table_names_every_metric(samples):
    studies = random_studies(6)
    summary = summarise(teacher_forced(Knowing(studies), studies), resamples=10)
    table = score_table(Row("model", summary))
    assert [row.cells[0] for row in table.rows] == list(summary.scores)
    assert "| coco_ap50 | 1.000 |" in table.to_markdown()
