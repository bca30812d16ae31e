import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from evaluation_fakes import Silent, random_studies
from hypothesis import given, settings
from hypothesis import strategies as st
from report_fakes import HOSTILE

from knowmvg.core.records import Radiograph, Study
from knowmvg.evaluation.evaluate import evaluate
from knowmvg.evaluation.intervals import MIN_PATIENTS
from knowmvg.evaluation.protocol import Result, generate
from knowmvg.evaluation.report.cases import MAX_BYTES, best, data_uri, worst
from knowmvg.evaluation.report.curves import accuracy_curve, by_size, reliability, risk_coverage
from knowmvg.evaluation.report.plots import plots
from knowmvg.evaluation.report.svg import COLOURS, inline
from knowmvg.evaluation.report.write import write_report
from knowmvg.evaluation.samples import Protocol, Sample
from knowmvg.evaluation.summary import summarise

NAMES = ["miou-by-finding", "accuracy-by-threshold", "reliability", "risk-coverage", "miou-by-size"]


def sample(place, iou, score=None, area=0.1, finding="f", patient=None):
    box = (0.0, 0.0, 1.0, 1.0)
    return Sample(
        protocol=Protocol.GENERATE,
        study=f"s{place}",
        patient=patient or f"p{place // 2}",
        index=0,
        finding=finding,
        side=None,
        zone=None,
        produced=score is not None,
        reference=(box,),
        area=area,
        predicted=(box,) if score is not None else (),
        scores=(score,) if score is not None else (),
        matched=(iou,),
        iou=iou,
        union_iou=iou,
        hits={name: iou >= float(name) for name in ("0.1", "0.3", "0.5")},
    )


# few different values, so that ties are common
GRADES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5, 0.9, 1.0])
SETS = st.lists(st.tuples(GRADES, st.none() | GRADES, GRADES), min_size=1, max_size=30).map(
    lambda rows: [
        sample(k, iou if score is not None else 0.0, score, area) for k, (iou, score, area) in enumerate(rows)
    ]
)


@settings(deadline=None)
@given(SETS)
def test_accuracy_curve_counts(samples):
    curve = accuracy_curve(samples, resamples=20)
    for x, value in zip(curve.x, curve.value, strict=True):
        assert value == sum(s.iou >= x for s in samples) / len(samples)
    if len({s.patient for s in samples}) >= MIN_PATIENTS:
        assert (curve.low <= curve.high).all()
    else:
        assert np.isnan(curve.low).all()


@settings(deadline=None)
@given(SETS, st.integers(1, 12))
def test_bins_part_the_phrases(samples, count):
    for found, inside, x_of in (
        (reliability(samples, count, resamples=5), [s for s in samples if s.scores], lambda s: s.scores[0]),
        (by_size(samples, count, resamples=5), samples, lambda s: s.area),
    ):
        assert sum(part.n for part in found) == len(inside)
        assert len(found) <= count
        assert all(a.upper < b.lower for a, b in pairwise(found))  # equal values are not parted
        for part in found:
            own = [s for s in inside if part.lower <= x_of(s) <= part.upper]
            assert len(own) == part.n
            assert part.miou.value == pytest.approx(np.mean([s.iou for s in own]))
            assert part.x == pytest.approx(np.mean([x_of(s) for s in own]))


def test_bins_hold_about_equally_many():
    rng = np.random.default_rng(0)
    samples = [sample(k, 0.5, float(score)) for k, score in enumerate(rng.uniform(size=103))]
    assert {part.n for part in reliability(samples, 10, resamples=5)} <= {10, 11}


@settings(deadline=None)
@given(SETS)
def test_risk_and_coverage_by_their_definition(samples):
    found = risk_coverage(samples)
    score = {id(s): s.scores[0] if s.scores else -1.0 for s in samples}
    points = []
    for limit in sorted(set(score.values()), reverse=True):
        kept = [s for s in samples if score[id(s)] >= limit]
        points.append((len(kept) / len(samples), np.mean([1 - s.iou for s in kept])))
    assert found.coverage == pytest.approx([c for c, _ in points])
    assert found.risk == pytest.approx([r for _, r in points])
    ranked = sorted(1 - s.iou for s in samples)
    assert found.ideal == pytest.approx([np.mean(ranked[: round(c * len(samples))]) for c in found.coverage])
    assert (found.ideal <= found.risk + 1e-12).all()


def test_no_sample_no_curve():
    for curve in (accuracy_curve, risk_coverage):
        with pytest.raises(ValueError, match="at least one"):
            curve([])
    assert reliability([]) == by_size([]) == ()
    nothing = generate(Silent(), [])
    assert plots(summarise(nothing), nothing.samples) == ()


def drawn(samples):
    samples = tuple(samples)
    return plots(summarise(Result(Protocol.GENERATE, samples, ()), resamples=20), samples, resamples=20)


def test_plots_are_pictures_with_words():
    rng = np.random.default_rng(1)
    samples = [
        sample(k, float(iou), float(np.clip(iou + 0.1, 0, 1)), 0.01 + 0.3 * float(iou), HOSTILE if k % 2 else None)
        for k, iou in enumerate(rng.uniform(size=40))
    ]
    found = drawn(samples)
    assert [plot.name for plot in found] == NAMES
    for plot in found:
        root = ET.fromstring(plot.svg)
        assert root.tag.endswith("svg")
        assert plot.words.endswith(".")
        assert plot.title
    texts = ["".join(e.itertext()) for e in ET.fromstring(found[0].svg).iter() if e.tag.endswith("text")]
    assert any(text.startswith(HOSTILE[:31]) for text in texts)  # as it is: no markup, no formula
    assert found == drawn(samples)


def test_plots_of_hard_cases():
    assert [plot.name for plot in drawn([sample(0, 0.0)])] == [NAMES[0], NAMES[1], NAMES[4]]  # no box, so no score
    assert len(drawn([sample(0, 1.0, 0.5)])) == 5
    assert len(drawn([sample(k, 0.3, 0.5, area=0.0) for k in range(3)])) == 5
    assert len(drawn([sample(k, k / 9, 0.1 + 0.2 * (k % 3 == 0), 0.1 + 0.2) for k in range(10)])) == 5


def test_a_plot_in_a_page():
    plot = drawn([sample(k, k / 4, k / 4) for k in range(4)])[2]
    first, second = inline(plot, "a"), inline(plot, "b")
    root = ET.fromstring(first)
    ids = {e.get("id") for e in root.iter() if e.get("id")}
    assert ids
    assert all(name.startswith("a-") for name in ids)
    assert not ids & {e.get("id") for e in ET.fromstring(second).iter()}
    for element in root.iter():
        target = element.get("{http://www.w3.org/1999/xlink}href")
        assert target is None or target[1:] in ids
    assert not any(colour in first for colour in COLOURS)
    assert "<metadata" not in first
    assert "<style" not in first


def test_cases_come_from_all_findings():
    easy = [sample(k, 0.9 + k / 1000, 0.5, finding="easy") for k in range(10)]
    hard = [sample(10 + k, 0.3 + k / 1000, 0.5, finding="hard") for k in range(10)]
    found = best([*easy, *hard], 3)
    assert [(s.finding, s.study) for s in found] == [("easy", "s9"), ("hard", "s19"), ("easy", "s8")]
    assert [s.finding for s in worst([*easy, *hard], 3)] == ["hard", "easy", "hard"]
    assert worst(easy, 0) == []
    assert len(worst(easy, 99)) == 10
    sure, unsure, silent = sample(0, 0.0, 0.9), sample(1, 0.0, 0.2), sample(2, 0.0)
    assert worst([silent, unsure, sure], 3) == [sure, unsure, silent]
    twice = [sample(0, 0.1, 0.5), sample(0, 0.2, 0.5, finding="g")]
    assert len(worst(twice, 2)) == 1  # one a study


@pytest.mark.parametrize("size", [(3000, 20), (1, 1), (1500, 1500)])
def test_images_stay_small(size):
    noise = np.random.default_rng(0).uniform(-1, 2, size[::-1]).astype(np.float32)
    assert len(data_uri(Radiograph(noise))) <= 4 / 3 * MAX_BYTES + 100


def test_oblong_pixels_are_shown_in_their_shape(tmp_path, monkeypatch):
    monkeypatch.setattr("knowmvg.evaluation.report.write.plots", lambda *_, **__: ())
    study = random_studies(1)[0]
    flat = Study(Radiograph(study.image.pixels, pixel_aspect=0.5), study.report, study.id, study.patient, study.labels)
    found = evaluate(Silent(), [flat], training_studies=None, controls=False, protocols=["generate"], resamples=5)
    write_report(tmp_path, found, data="d", study_of=lambda _: flat, cases=1)
    assert 'viewBox="0 0 200 100"' in (tmp_path / "report.html").read_text()
    assert "aspect-ratio: 200 / 50.0" in (tmp_path / "report.html").read_text()
