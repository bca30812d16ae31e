"""The model card holds the figures of the run's own files, and nothing else makes one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from knowmvg.core.errors import ModelError, OutputError
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.phantom.dataset import DATASET_SCHEMA
from knowmvg.training.card import write_card

FACTS = {
    "recipe": {"name": "tiny", "seed": 3, "data": {"folder": "gone/tinyset", "seed": 7, "size": 64}},
    "data_fingerprint": "ab" * 32,
    "train_studies": 42,
    "validation": {"miou": 0.5},
    "seconds": {"data": 30.0, "language": 60.0, "train": 90.0},
    "threads": 1,
    "versions": {"knowmvg": "9.8.7", "torch": "2.0"},
    "git": "abc123",
}


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def row(name: str, value: float, naming: bool) -> dict:
    micro = {"n_phrases": 12, "n_patients": 5, "miou": estimate(value), "acc": {"0.1": estimate(0.9), "0.5": None}}
    found = {"f1": estimate(0.77), "false_box_rate": estimate(0.12)} if naming else None
    return {"row": name, "minus_first": None, "micro": micro, "identification": found}


METRICS = {
    "schema": "knowmvg.metrics/1",
    "model": "tiny",
    "protocols": {
        "teacher_forced": [row("model", 0.654, False), row("blank | image", 0.321, False)],
        "generate": [row("model", 0.543, True)],
    },
    "notes": ["No prior rows."],
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "tiny"
    (folder / "model").mkdir(parents=True)
    (folder / "evaluation-test").mkdir()
    (folder / "model" / "config.json").write_text("{}", encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(FACTS), encoding="utf-8")
    (folder / "evaluation-test" / "metrics.json").write_text(json.dumps(METRICS), encoding="utf-8")
    return folder


def test_a_card_holds_the_figures_of_its_run(run):
    text = write_card(run).read_text(encoding="utf-8")
    assert "\n---\n\n# tiny\n" in text
    for words in (
        "0.654 [0.644, 0.664]",
        "0.543",
        "0.770 [0.760, 0.780]",
        "12 phrases of 5 patients",
        "No prior rows.",
    ):
        assert words in text
    for words in (
        "ab" * 32,
        "42 studies of the data set `tinyset`",
        "knowmvg 9.8.7",
        "abc123",
        "| all | 3.0 |",
        "Apache-2.0",
    ):
        assert words in text
    assert "not a medical device" in text


def test_only_data_that_are_known_to_be_simulated_are_called_so(run, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "manifest.jsonl").write_text("{}\n", encoding="utf-8")
    (data / "dataset.json").write_text(json.dumps({"schema": DATASET_SCHEMA}), encoding="utf-8")
    recipe = {**FACTS["recipe"], "data": {"folder": str(data), "seed": 7, "size": 64}}
    for fingerprint, told in (("0" * 64, False), (hashlib.sha256(b"{}\n").hexdigest(), True)):
        facts = {**FACTS, "recipe": recipe, "data_fingerprint": fingerprint}
        (run / "run.json").write_text(json.dumps(facts), encoding="utf-8")
        text = write_card(run).read_text(encoding="utf-8")
        assert ("42 simulated studies" in text) == told
        assert str(tmp_path) not in text


def test_the_head_of_a_card_is_what_a_hub_reads(run):
    text = write_card(run).read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert (head["license"], head["library_name"]) == ("apache-2.0", "knowmvg")
    assert "base_model" not in head
    first = head["model-index"][0]["results"][0]
    assert first["dataset"]["name"] == "tinyset"
    assert first["metrics"] == [
        {"type": "miou", "name": "mIoU", "value": 0.654},
        {"type": "acc@0.1", "name": "acc@0.1", "value": 0.9},
    ]
    language = run / "model" / "language"
    language.mkdir()
    for base, named in (("owner/base", "owner/base"), (str(run), None)):
        (language / "backbone.json").write_text(json.dumps({"part": {"id": base}}), encoding="utf-8")
        text = write_card(run).read_text(encoding="utf-8")
        assert yaml.safe_load(text.split("---\n")[1]).get("base_model") == named
        assert str(run) not in text


def test_subgroups_are_shown_with_intervals_and_small_ones_marked(run):
    numbers = row("", 0.5, False)["micro"]
    parts = [
        {"family": "side", "name": "left", "too_small": True, "numbers": numbers},
        {"family": "finding", "name": "nodule", "too_small": False, "numbers": numbers},
    ]
    metrics = {**METRICS, "strata": {"teacher_forced": parts, "generate": []}}
    (run / "evaluation-test" / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    text = write_card(run).read_text(encoding="utf-8")
    assert "| side | left * | 12 | 5 | 0.900 [0.890, 0.910] | - | 0.500 [0.490, 0.510] |" in text
    assert "| finding | nodule | 12 |" in text


def test_maps_that_were_scored_are_shown_and_what_a_score_means(run):
    scores = {"cnr": estimate(1.4), "pointing": estimate(0.6), "auroc": None}
    rows = [{"row": "tiny", "n_phrases": 7, "n_patients": 4, "scores": scores}]
    maps = {"schema": "knowmvg.maps/1", "kind": "heat", "rows": rows}
    (run / "evaluation-test" / "maps-heat.json").write_text(json.dumps(maps), encoding="utf-8")
    text = write_card(run).read_text(encoding="utf-8")
    assert "| tiny | 1.400 [1.390, 1.410] | 0.600 [0.590, 0.610] | - | - | - |" in text
    assert "estimates a box's overlap" in text
    recipe = {**FACTS["recipe"], "system": "diffusion"}
    (run / "run.json").write_text(json.dumps({**FACTS, "recipe": recipe}), encoding="utf-8")
    text = write_card(run).read_text(encoding="utf-8")
    assert "is not calibrated" in text
    assert "estimates a box's overlap" not in text
    assert "The report parser names the phrases" in text
    assert "names the phrases itself" not in text


def test_what_a_run_wrote_of_its_data_is_told(run):
    origin = {"kind": "prepared", "name": "some-set", "version": "1.1", "licence": "by agreement", "credentialed": True}
    (run / "run.json").write_text(json.dumps({**FACTS, "data_origin": origin, "knowledge": "cd" * 32}), "utf-8")
    text = write_card(run).read_text(encoding="utf-8")
    for words in ("`some-set`", "version 1.1", "by agreement", "credentialed users only", "cd" * 32):
        assert words in text


def test_the_tables_of_a_card_are_well_formed(run):
    lines = write_card(run).read_text(encoding="utf-8").splitlines()
    tables = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    widths = [line.count("|") for line in tables]
    assert widths == [7] * 4 + [7] * 3 + [3] * 6
    assert sum(line.startswith("| blank") for line in tables) == 1


def test_protocols_are_kept_apart(run):
    text = write_card(run).read_text(encoding="utf-8")
    forced, generated = text.split("### generate")
    assert "0.654" in forced
    assert "0.654" not in generated


def test_another_evaluation_can_be_named(run, tmp_path):
    (run / "evaluation-test" / "metrics.json").rename(tmp_path / "metrics.json")
    assert write_card(run, tmp_path) == run / "model" / "README.md"


@pytest.mark.parametrize("name", ["run.json", "evaluation-test/metrics.json", "model/config.json"])
def test_a_missing_file_is_named_and_nothing_is_written(run, name):
    (run / name).unlink()
    with pytest.raises(ModelError, match=Path(name).name):
        write_card(run)
    assert not list((run / "model").glob("*README*"))


@pytest.mark.parametrize("text", ["[", "[]", '{"schema": "other/1"}', '{"schema": "knowmvg.metrics/1"}', "\x00"])
def test_a_damaged_evaluation_is_refused(run, text):
    (run / "evaluation-test" / "metrics.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError):
        write_card(run)
    assert not list((run / "model").glob("*README*"))


@pytest.mark.parametrize("key", ["recipe", "seconds", "versions", "data_fingerprint", "threads"])
def test_a_run_without_its_facts_is_refused(run, key):
    facts = {name: value for name, value in FACTS.items() if name != key}
    (run / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(ModelError, match=key):
        write_card(run)


def test_a_card_that_cannot_be_written_leaves_nothing(run):
    (run / "model" / "README.md").mkdir()
    with pytest.raises(OutputError):
        write_card(run)
    assert sorted(path.name for path in (run / "model").iterdir()) == ["README.md", "config.json"]


def test_the_command_writes_the_card_and_tells_where(run, capsys):
    assert main(["card", str(run)]) == 0
    assert "README.md" in capsys.readouterr().out


def test_the_command_ends_with_the_model_errors_code(tmp_path, capsys):
    assert main(["card", str(tmp_path)]) == ModelError.exit_code
    assert "knowmvg train" in capsys.readouterr().err
