import itertools
import json

import numpy as np
import pytest
from evaluation_fakes import Knowing, random_studies
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.evaluation.comparison import METRICS, USUAL, compare
from knowmvg.evaluation.intervals import paired_difference
from knowmvg.evaluation.permutation import holm, sign_flip_p
from knowmvg.evaluation.power import detectable_difference, standard_error
from knowmvg.evaluation.protocol import generate, teacher_forced
from knowmvg.interfaces.cli.compare import without_common_end
from knowmvg.interfaces.cli.main import main

STUDIES = random_studies(40)


def samples(shrink=1.0, protocol=teacher_forced, studies=STUDIES):
    return protocol(Knowing(studies, move=lambda boxes: boxes * shrink), studies).samples


GOOD, WORSE, ALIKE = samples(), samples(0.8), samples(0.999)


def test_sign_flips_equal_scipys_permutation_test():
    rng = np.random.default_rng(0)
    few = rng.normal(0.3, 1, (11, 1))
    theirs = stats.permutation_test((few[:, 0],), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(few) == [pytest.approx(theirs.pvalue)]
    many = rng.normal(0.2, 1, (60, 2))
    for p, column in zip(sign_flip_p(many), many.T, strict=True):
        assert p == pytest.approx(stats.ttest_1samp(column, 0).pvalue, abs=0.02)


def test_sign_flips_at_the_edges():
    assert sign_flip_p(np.zeros((1, 2))) == [None, None]
    assert sign_flip_p(np.zeros((20, 1))) == [1.0]
    assert sign_flip_p(np.ones((6, 1))) == [2 / 2**6]
    assert sign_flip_p(np.ones((40, 1)), flips=999) == [1 / 1000]


def test_sign_flips_find_what_is_not_there_as_seldom_as_they_say():
    rng = np.random.default_rng(1)
    ps = [sign_flip_p(rng.exponential(size=(12, 1)) * rng.choice([-1, 1], (12, 1)))[0] for _ in range(150)]
    assert (np.array(ps) <= 0.05).mean() <= 0.11  # binomial(150, 0.05) exceeds this about once in 1,000


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=6), st.floats(0.001, 0.3))
def test_holm_rejects_what_the_closed_test_of_bonferroni_rejects(ps, level):
    """Holm's method is the closed test of Bonferroni's: reject where every set of hypotheses with it is rejected."""
    for place, p in enumerate(holm(ps)):
        others = [q for i, q in enumerate(ps) if i != place]
        sets = [[ps[place], *some] for k in range(len(ps)) for some in itertools.combinations(others, k)]
        closed = all(min(some) * len(some) <= level for some in sets)
        assert closed == (p <= level) or p == pytest.approx(level)


def test_detectable_difference_in_closed_form():
    """One phrase a patient: the power of the paired t-test, as its noncentral distribution gives it."""
    totals = np.stack([np.random.default_rng(2).normal(size=30), np.ones(30)], axis=1)
    error = stats.sem(totals[:, 0])
    assert standard_error(totals) == pytest.approx(error)
    shift = detectable_difference(totals) / error
    assert stats.nct.sf(stats.t.isf(0.025, 29), 29, shift) == pytest.approx(0.8, abs=1e-6)
    assert detectable_difference(totals, significance=0.01) > detectable_difference(totals)
    assert detectable_difference(totals + np.array([5, 0])) == pytest.approx(detectable_difference(totals))
    assert detectable_difference(totals[:1]) is None


def test_the_detectable_difference_is_found_four_times_in_five():
    """Clustered phrases, patients of unequal size: both tests find a true difference of that size in 80 % of sets."""
    rng = np.random.default_rng(3)
    trials, patients, found = 200, 40, np.zeros(2)

    def gaps():
        sizes = rng.integers(1, 5, patients)
        names = np.repeat(np.arange(patients), sizes)
        return rng.normal(0, 0.1, patients)[names] + rng.normal(0, 0.2, len(names)), names

    big = [gaps() for _ in range(20)]
    typical = np.mean([paired_difference(g, 0 * g, n.astype(str), resamples=50).detectable for g, n in big])
    for trial in range(trials):
        gap, names = gaps()
        gap = gap + typical
        p = paired_difference(gap, 0 * gap, names.astype(str), resamples=200, seed=trial).p
        sums = np.bincount(names, gap)[:, None]
        found += np.array([p, sign_flip_p(sums, flips=200, seed=trial)[0]]) < 0.05
    assert (np.abs(found / trials - 0.8) < 0.09).all()  # three standard errors of binomial(200, 0.8)


def test_against_the_first():
    found = compare({"good": GOOD, "worse": WORSE, "alike": ALIKE[::-1]}, resamples=300)
    assert [(test.name, test.metric) for test in found.tests] == [
        (name, metric) for name in ("worse", "alike") for metric in USUAL
    ]
    first = found.tests[0]
    ious = [[sample.iou for sample in some] for some in (GOOD, WORSE)]
    assert (first.first_value, first.value) == pytest.approx((np.mean(ious[0]), np.mean(ious[1])))
    expected = paired_difference(ious[1], ious[0], [sample.patient for sample in GOOD], resamples=300)
    assert first.difference == expected
    assert first.p_sign_flip < first.p_holm < 0.05
    hits = found.tests[5]  # acc@0.1 of boxes that are nearly alike
    assert (hits.difference.value, hits.p_sign_flip, hits.p_holm) == (0.0, 1.0, 1.0)
    for test in found.tests:
        assert test.detectable_in_family >= test.difference.detectable
    turned = compare({"worse": WORSE, "good": GOOD}, resamples=300, metrics=["mIoU"]).tests[0]
    assert turned.difference.value == pytest.approx(-first.difference.value)
    assert turned.p_holm == turned.p_sign_flip == first.p_sign_flip  # one test: nothing to correct
    assert (found.n_phrases, found.n_patients) == (len(GOOD), 20)


def test_what_cannot_be_compared_is_refused():
    def refused(match, **files):
        with pytest.raises(ManifestError, match=match):
            compare(files)

    refused("1 phrases only in a and 0 only in b", a=GOOD, b=WORSE[1:])
    refused("teacher_forced in a and generate in b", a=GOOD, b=samples(protocol=generate))
    refused(
        "generate and teacher_forced in b",
        a=GOOD,
        b=[*WORSE, *samples(protocol=generate, studies=random_studies(50)[40:])],
    )
    refused("none in a", a=[], b=WORSE)
    refused("none in b", a=GOOD, b=[])
    refused("1 phrases again in b", a=GOOD, b=[*WORSE, WORSE[0]])
    refused("1 phrases again in a", a=[*GOOD, GOOD[0]], b=WORSE)
    moved = [WORSE[0].model_copy(update={"reference": ((0.0, 0.0, 1.0, 1.0),)}), *WORSE[1:]]
    refused("reference boxes.*others for 1 phrases of b than of a", a=GOOD, b=moved)
    refused("patients", a=GOOD, b=[WORSE[0].model_copy(update={"patient": "x"}), *WORSE[1:]])
    with pytest.raises(RecipeError, match="two files"):
        compare({"a": GOOD})
    for metrics in (["mAP"], []):
        with pytest.raises(RecipeError, match="metrics among mIoU"):
            compare({"a": GOOD, "b": WORSE}, metrics=metrics)


def test_one_patient_gives_values_alone():
    one = [sample for sample in GOOD if sample.patient == "p0"]
    test = compare({"a": one, "b": one}, metrics=list(METRICS)).tests[0]
    assert (test.difference.value, test.difference.p, test.p_sign_flip, test.p_holm) == (0.0, None, None, None)
    assert test.detectable_in_family is None


def write(path, found):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{sample.model_dump_json()}\n" for sample in found))
    return str(path)


def test_command(tmp_path, capsys):
    a, b = write(tmp_path / "a/samples.jsonl", GOOD), write(tmp_path / "b/samples.jsonl", WORSE)
    assert main(["compare", a, b, "--out", str(tmp_path / "out"), "--metrics", "mIoU,acc@0.5"]) == 0
    shown = capsys.readouterr().out
    assert "not a medical device" in shown
    data = json.loads((tmp_path / "out/comparison.json").read_text())
    assert [(test["name"], test["metric"]) for test in data["tests"]] == [
        ("b/samples", "mIoU"),
        ("b/samples", "acc@0.5"),
    ]
    page = (tmp_path / "out/comparison.md").read_text()
    assert "### Against a/samples" in page
    assert "not a medical device" in page
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.json", "comparison.md"}


@pytest.mark.parametrize(
    ("other", "code", "words"),
    [
        ("missing", 5, "none at"),
        ("junk", 5, "line 1"),
        ("fewer", 5, "the same phrases"),
        ("same", 6, "the same one twice"),
    ],
)
def test_command_on_bad_files(tmp_path, capsys, other, code, words):
    a = write(tmp_path / "a.jsonl", GOOD)
    write(tmp_path / "fewer.jsonl", GOOD[:5])
    (tmp_path / "junk.jsonl").write_text("[1, 2]\n")
    path = a if other == "same" else str(tmp_path / f"{other}.jsonl")
    assert main(["compare", a, path, "--out", str(tmp_path / "out")]) == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_macro_metric_is_the_mean_over_findings():
    first, other = compare({"good": GOOD, "worse": WORSE}, metrics=["mIoU", "macro mIoU"]).tests
    by_finding = {}
    for sample in WORSE:
        by_finding.setdefault(sample.finding, []).append(sample.iou)
    assert other.metric == "macro mIoU"
    assert other.value == pytest.approx(np.mean([np.mean(ious) for ious in by_finding.values()]))
    assert other.value != pytest.approx(first.value)
    assert other.difference.value == pytest.approx(other.value - other.first_value)
    with pytest.raises(RecipeError, match="macro"):
        compare({"good": GOOD, "worse": WORSE}, metrics=["macro"])


def test_names_lose_the_end_that_they_share():
    assert without_common_end(["a/x/s", "b/x/s"]) == ["a", "b"]
    assert without_common_end(["a/s", "a/t"]) == ["a/s", "a/t"]
    assert without_common_end(["s", "a/s"]) == ["s", "a/s"]
