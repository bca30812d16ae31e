"""``knowmvg ablate`` from end to end at the smallest size: knowmvg beside the controls of its graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from knowmvg.interfaces.cli.main import main
from knowmvg.knowledge.controls import permuted_texts, random_graph
from knowmvg.knowledge.graph import load_graph
from tests.tiny import TINY

ROWS = ("knowmvg", "random-graph", "permuted-texts")


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("ablation")
    values = TINY | {"data": TINY["data"] | {"folder": str(folder / "data")}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(values))
    command = ["ablate", str(folder / "tiny.yaml"), "--out", str(folder / "out"), "--runs", str(folder / "runs")]
    command += ["--rows", ",".join(ROWS), "--seeds", "1"]
    assert main(command) == 0
    return folder, command


@pytest.mark.slow
def test_the_table_shows_the_controls_beside_knowmvg(ablated):
    folder, _ = ablated
    table = (folder / "out" / "ablation-extent.md").read_text(encoding="utf-8")
    lines = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert lines[2:] == list(ROWS)
    samples = {path.stem for path in (folder / "out").glob("samples-*.jsonl")}
    assert samples == {f"samples-tiny-{row}-extent-s0" for row in ROWS}


@pytest.mark.slow
def test_each_control_is_recorded_and_has_its_own_graph(ablated):
    folder, _ = ablated
    runs = {row: folder / "runs" / f"tiny-{row}-extent-s0" for row in ROWS}
    recipes = {row: json.loads((run / "run.json").read_text())["recipe"] for row, run in runs.items()}
    controls = {row: recipe["variant"]["knowledge"].pop("control") for row, recipe in recipes.items()}
    assert controls == {"knowmvg": "none", "random-graph": "random-graph", "permuted-texts": "permuted-texts"}
    named = [{key: value for key, value in recipe.items() if key != "name"} for recipe in recipes.values()]
    assert named[0] == named[1] == named[2]  # everything else is the same
    graphs = {row: load_graph(run / "model" / "knowledge.json") for row, run in runs.items()}
    assert graphs["random-graph"] == random_graph(graphs["knowmvg"], 0) != graphs["knowmvg"]
    assert graphs["permuted-texts"] == permuted_texts(graphs["knowmvg"], 0) != graphs["knowmvg"]


@pytest.mark.slow
def test_the_parts_are_shared_and_texts_are_encoded_once_a_graph(ablated):
    folder, _ = ablated
    stages = [path.name.split("-")[0] for path in (folder / "runs" / "parts").iterdir()]
    assert all(stages.count(stage) == 1 for stage in ("features", "language", "nodes", "segmenter", "words"))
    assert len(list((folder / "runs" / "parts" / "nodes").iterdir())) == 2  # a random graph has the same texts


@pytest.mark.slow
def test_the_same_command_trains_nothing_again(ablated, capsys):
    folder, command = ablated
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("model.safetensors")}
    assert main(command) == 0
    assert capsys.readouterr().err.count("trained before") == len(ROWS)
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("model.safetensors")} == before
