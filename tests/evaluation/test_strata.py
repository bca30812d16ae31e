import json

import numpy as np
import pytest
from evaluation_fakes import Knowing, label, random_studies, study

from knowmvg.core.records import Assertion, Phrase, Side
from knowmvg.evaluation.evaluate import evaluate
from knowmvg.evaluation.protocol import run
from knowmvg.evaluation.samples import Protocol, Sample, read_samples, write_samples
from knowmvg.evaluation.strata import ENOUGH_PATIENTS, FAMILIES, by_size, strata_note, strata_table, stratify
from knowmvg.evaluation.summary import summarise
from knowmvg.evaluation.wording import is_seen, names_place, phrase_texts


@pytest.fixture(scope="module")
def result():
    studies = random_studies(60)
    rng = np.random.default_rng(0)
    known = {"finding 0 of 3", "finding 1 of 4"}
    model = Knowing(studies, move=lambda boxes: boxes * rng.uniform(0.5, 1))
    return run(Protocol.TEACHER_FORCED, model, studies, known=known)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("small left pleural effusion", True),
        ("right upper lobe pneumonia", True),
        ("bilateral edema", True),
        ("opacity at the base", True),
        ("cardiomegaly", False),
        ("small pleural effusion", False),
        ("widened cardiac silhouette", False),
    ],
)
def test_words_of_place(text, there):
    assert names_place(Phrase(text=text, side=Side.LEFT)) is there  # the words count, not what the label knows


def test_seen_phrases():
    studies = [study(label("Small  Nodule", [[0, 0, 9, 9]]), label("no edema", assertion=Assertion.ABSENT))]
    known = phrase_texts(studies)
    assert known == {"small nodule"}
    assert is_seen(Phrase(text="small nodule"), known) is True
    assert is_seen(Phrase(text="no edema"), known) is False
    assert is_seen(Phrase(text="small nodule"), None) is None


def test_strata_by_hand(result):
    ious = np.array([sample.iou for sample in result.samples])
    strata = {(part.family, part.name): part for part in stratify(result.samples, resamples=100)}
    two = np.array([len(sample.reference) == 2 for sample in result.samples])
    assert strata["reference boxes", "2"].numbers.miou.value == pytest.approx(ious[two].mean())
    assert strata["reference boxes", "1"].numbers.n_phrases == (~two).sum()
    large = np.array([sample.area >= 0.10 for sample in result.samples])
    assert strata["box size", "large (10% or more)"].numbers.miou.value == pytest.approx(ious[large].mean())
    assert strata["phrase in training", "seen"].numbers.n_phrases == 2
    assert strata["phrase in training", "seen"].too_small
    patients = {sample.patient for sample, both in zip(result.samples, two, strict=True) if both}
    assert strata["reference boxes", "2"].numbers.n_patients == len(patients)
    assert strata["reference boxes", "2"].too_small == (len(patients) < ENOUGH_PATIENTS)


def test_each_family_holds_every_phrase_once(result):
    parts = stratify(result.samples, resamples=20)
    assert {part.family for part in parts} == set(FAMILIES)
    for family in FAMILIES:
        assert sum(part.numbers.n_phrases for part in parts if part.family == family) == len(result.samples)


def test_findings_are_those_of_the_summary(result):
    parts = [part for part in stratify(result.samples, resamples=50, seed=2) if part.family == "finding"]
    assert {part.name: part.numbers for part in parts} == summarise(result, resamples=50, seed=2).per_finding


@pytest.mark.parametrize(("area", "word"), [(0.0, "small"), (0.0299, "small"), (0.03, "medium"), (0.1, "large")])
def test_sizes(result, area, word):
    assert by_size(result.samples[0].model_copy(update={"area": area})).startswith(word)


def test_files_from_before_are_read(result, tmp_path):
    path = tmp_path / "samples.jsonl"
    write_samples(path, result.samples)
    assert tuple(read_samples(path)) == result.samples
    old = [json.loads(line) for line in path.read_text().splitlines()]
    for row in old:
        del row["located"], row["seen"]
    path.write_text("".join(json.dumps(row) + "\n" for row in old))
    samples = read_samples(path)
    assert all(sample.located is None and sample.seen is None for sample in samples)
    families = {part.family for part in stratify(samples, resamples=20)}
    assert families == {"finding", "box size", "side", "reference boxes"}


def test_no_words_of_a_report_in_a_sample(result):
    assert not any("finding 0 of" in sample.model_dump_json() for sample in result.samples)
    assert "text" not in Sample.model_fields


def test_no_samples():
    assert stratify([]) == ()


def test_the_table_says_what_is_too_small(result):
    parts = stratify(result.samples, resamples=50)
    rows = strata_table("m", result.samples, parts).to_dict()["rows"]
    notes = {(row["by"], row["stratum"]): row["note"] for row in rows}
    assert notes["phrase in training", "seen"] == "too few patients"
    assert notes["phrase in training", "unseen"] == ""
    assert "finding" not in {row["by"] for row in rows}
    assert "phrase in training seen (2)" in strata_note(parts)
    few = stratify(result.samples[:10], resamples=20)
    assert "finding f" in strata_note(few)


def test_strata_of_an_evaluation(tmp_path):
    studies = random_studies(16)
    found = evaluate(Knowing(studies), studies, training_studies=studies[:4], controls=False, resamples=50)
    found.write(tmp_path)
    data = json.loads((tmp_path / "metrics.json").read_text())["strata"]
    assert list(data) == [protocol.value for protocol in Protocol]
    names = [(part["family"], part["name"]) for part in data["generate"]]
    assert ("phrase in training", "seen") in names
    assert (tmp_path / "tables.md").read_text().count("by kind of phrase") == len(data)
    alone = evaluate(
        Knowing(studies), studies, training_studies=None, controls=False, protocols=["generate"], resamples=20
    )
    assert "phrase in training" not in {part.family for part in alone.part("generate").strata}
    assert "Seen:" not in alone.to_markdown()
