"""Maps whose right scores are known: controls, averages, intervals, and one map at a time."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace

import numpy as np
import pytest
from evaluation_fakes import Knowing, random_studies

from knowmvg.core.errors import ModelError
from knowmvg.core.frames import Frame
from knowmvg.core.maps import EvidenceMap, MapKind
from knowmvg.core.records import Evidence
from knowmvg.evaluation import map_scores, metrics
from knowmvg.evaluation.map_scores import CLASS_MEAN, SCORES, UNIFORM, MapSample, of_row, score_maps, scores_of
from knowmvg.evaluation.map_tables import SHOWN, MapEvaluation
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.studies import patient_of


class Mapped(Knowing):
    """Knows the boxes, and draws them as its maps: ``paint`` changes what is drawn (``None``: no map)."""

    maps = (MapKind.DRAWN,)

    def __init__(self, studies, paint=lambda values: values):
        super().__init__(studies)
        self.paint = paint

    def with_maps(self):
        return Drawing([], self.labels, self.paint)


class Drawing(Mapped):
    def __init__(self, studies, labels, paint):
        super().__init__(studies, paint)
        self.labels = labels

    def ground_phrases(self, studies, queries):
        answers = super().ground_phrases(studies, queries)
        return [self._drawn(answer, study) for answer, study in zip(answers, studies, strict=True)]

    def _drawn(self, answer, study):
        phrases = []
        for phrase in answer.phrases:
            region = metrics.region_of([r.xyxy for r in phrase.boxes], study.image.size).astype(np.float32)
            values = self.paint(0.1 + 0.8 * region)
            frame = Frame.squash(study.image.size, study.image.size)
            maps = () if values is None else (EvidenceMap(MapKind.DRAWN, values.astype(np.float32), frame),)
            phrases.append(phrase.model_copy(update={"evidence": Evidence(maps=maps)}))
        return answer.model_copy(update={"phrases": tuple(phrases)})


def scored(grounder, studies, **settings):
    return score_maps(grounder, MapKind.DRAWN, studies, **{"training_studies": studies, **settings})


def test_maps_of_the_boxes_themselves_are_as_good_as_can_be():
    studies = random_studies(8)
    samples = of_row(scored(Mapped(studies), studies), "model")
    assert len(samples) == sum(len(label.boxes) > 0 for study in studies for label in study.labels)
    for sample in samples:
        assert sample.scores["pointing"] == sample.scores["auroc"] == sample.scores["auprc"] == 1
        assert sample.scores["miou_2cls@0.5"] == 1
        assert sample.scores["miou_thr"] > 0.75  # at the threshold 0.1 rounding may take the background in
        assert sample.patient == patient_of(next(s for s in studies if s.id == sample.study))


def test_the_uniform_map_scores_what_no_knowledge_does():
    studies = random_studies(6)
    for sample in of_row(scored(Mapped(studies), studies), UNIFORM):
        study = next(s for s in studies if s.id == sample.study)
        share = metrics.region_of(study.labels[sample.index].boxes, study.image.size).mean()
        assert sample.scores["cnr"] == 0
        assert sample.scores["auroc"] == 0.5
        assert sample.scores["pointing"] == pytest.approx(share)
        assert sample.scores["auprc"] == pytest.approx(share)
        assert sample.scores["miou_thr"] == pytest.approx(0.8 * share)  # bright at 0.1 to 0.4
        assert sample.scores["miou_2cls@0.5"] == pytest.approx((1 - share) / 2)


def test_the_class_mean_box_is_that_of_the_control_rows():
    studies = random_studies(12)
    samples = of_row(scored(Mapped(studies), studies), CLASS_MEAN)
    mean = np.nanmean([sample.scores["auroc"] for sample in samples])
    assert 0.5 < mean < 0.95
    rows = {sample.row for sample in scored(Mapped(studies), studies, training_studies=None)}
    assert rows == {"model", UNIFORM}


def test_a_phrase_without_a_map_scores_nothing():
    studies = random_studies(4)
    for sample in of_row(scored(Mapped(studies, lambda values: None), studies), "model"):
        assert set(sample.scores.values()) == {0.0}


def test_scores_are_the_metrics_of_the_page():
    rng = np.random.default_rng(0)
    values, boxes = rng.uniform(0, 1, (40, 60)), np.array([[5.0, 5, 30, 20], [40, 10, 55, 35]])
    region = metrics.region_of(boxes, (60, 40))
    found = scores_of(values, boxes, (60, 40))
    assert tuple(found) == SCORES
    for name in ("cnr", "pointing", "auroc", "auprc", "miou_thr"):
        assert found[name] == getattr(metrics, name)(values, region)
    assert found["miou_2cls@0.5"] == metrics.miou_2cls(values > 0.5, region)


def test_batches_of_any_size_give_the_same():
    studies = random_studies(7)
    grounder = Mapped(studies, lambda values: values**2)
    assert scored(grounder, studies, batch_size=1) == scored(grounder, studies, batch_size=5)


def test_a_map_is_gone_before_the_next_one_is_made(monkeypatch):
    """Of a thousand studies no more than one full-size map of the model may be alive at a time."""
    studies, alive, most = random_studies(10), set(), []
    of_model = map_scores._of_model

    def made(*args):
        values = of_model(*args)
        alive.add(id(values))
        weakref.finalize(values, alive.discard, id(values))
        most.append(len(alive))
        return values

    monkeypatch.setattr(map_scores, "_of_model", made)
    scored(Mapped(studies), studies, batch_size=4)
    assert max(most) <= 2
    assert len(most) > 10


@pytest.mark.parametrize("grounder", [Knowing([]), Mapped([])])
def test_a_model_without_such_a_map_is_refused_before_it_is_asked(grounder):
    with pytest.raises(ModelError, match="attention"):
        score_maps(grounder, MapKind.ATTENTION, random_studies(3), training_studies=None)
    assert grounder.asked == []


def test_progress_tells_the_studies(monkeypatch):
    studies, told = random_studies(5), []
    scored(Mapped(studies), studies, batch_size=2, progress=lambda *now: told.append(now))
    assert told == [("maps: drawn", 2, 5), ("maps: drawn", 4, 5), ("maps: drawn", 5, 5)]


def evaluation(studies, paint=lambda values: values, resamples=200):
    samples = scored(Mapped(studies, paint), studies, name="mine")
    return MapEvaluation("mine", MapKind.DRAWN, tuple(samples), 0, resamples)


def test_tables_hold_model_controls_and_findings():
    studies = random_studies(14)
    found = evaluation(studies, lambda values: np.roll(values, 15, axis=1))
    rows, findings = found.tables()
    assert [line.cells[0] for line in rows.rows] == ["mine", CLASS_MEAN, UNIFORM]
    assert rows.header == ("row", *SHOWN, "auprc minus first", "phrases", "patients")
    assert all(table.protocol is Protocol.PHRASE_GIVEN for table in (rows, findings))
    phrases = [s.finding for s in of_row(found.samples, "mine")]
    assert {line.cells[0]: line.cells[-2] for line in findings.rows} == {f: phrases.count(f) for f in set(phrases)}
    first, uniform = rows.rows[0].cells, rows.rows[-1].cells
    assert first[-3] is None
    assert uniform[-3].value == pytest.approx(uniform[4].value - first[4].value)
    assert uniform[-3].high < 0
    for cell in first[1:7]:
        assert cell.low < cell.value < cell.high


def test_an_interval_over_patients_is_wider_than_one_over_phrases():
    rng = np.random.default_rng(0)
    own = [
        MapSample("mine", f"s{p}", f"p{p}", k, "edema", dict.fromkeys(SCORES, level))
        for p, level in enumerate(rng.uniform(0.2, 0.9, 12))
        for k in range(6)
    ]
    single = [replace(sample, patient=f"{k}") for k, sample in enumerate(own)]
    found = MapEvaluation("mine", MapKind.DRAWN, tuple(own))
    grouped, apart = found.estimates(own)["auroc"], found.estimates(single)["auroc"]
    assert grouped.value == pytest.approx(apart.value)
    assert grouped.high - grouped.low > 2 * (apart.high - apart.low)


def test_undefined_numbers_are_left_out_and_counted():
    studies = random_studies(8)
    found = evaluation(studies, lambda values: np.round(values))  # constant inside and outside: infinite contrast
    text = found.to_markdown()
    own = of_row(found.samples, "mine")
    infinite = sum(not np.isfinite(s.scores["cnr"]) for s in own)
    assert infinite == len(own)
    assert f"'mine': cnr of {infinite}" in text
    values = found.to_dict()
    assert values["rows"][0]["scores"]["cnr"] is None
    assert values["rows"][0]["n_undefined"]["cnr"] == infinite


def test_files_are_strict_json_and_markdown(tmp_path):
    found = evaluation(random_studies(6))
    paths = found.write(tmp_path)
    assert [path.name for path in paths] == ["maps-drawn.md", "maps-drawn.json"]
    values = json.loads(paths[1].read_text(encoding="utf-8"), parse_constant=lambda word: pytest.fail(word))
    assert [row["row"] for row in values["rows"]] == ["mine", CLASS_MEAN, UNIFORM]
    assert set(values["rows"][0]["scores"]) == set(SCORES)
    assert paths[0].read_text(encoding="utf-8") == found.to_markdown()


def test_without_a_phrase_there_is_an_empty_table():
    found = MapEvaluation("mine", MapKind.DRAWN, ())
    assert [table.rows for table in found.tables()] == [(), ()]
    assert found.to_dict()["rows"] == []


def test_no_torch_is_needed():
    assert not hasattr(map_scores, "torch")
