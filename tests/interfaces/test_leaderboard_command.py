"""``knowmvg leaderboard`` from nothing, at the smallest size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from knowmvg.interfaces.cli.main import main
from tests.tiny import TINY


@pytest.mark.slow
def test_one_command_fills_the_leaderboard_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, out, runs = tmp_path / "tiny.yaml", tmp_path / "results", tmp_path / "runs"
    recipe.write_text(yaml.safe_dump(TINY | {"data": TINY["data"] | {"folder": str(tmp_path / "data")}}))
    command = ["leaderboard", str(recipe), "--out", str(out), "--runs", str(runs), "--seeds", "2", "--timing", "0"]
    assert main([*command, "--rows", "knowmvg", "--protocols", "teacher_forced,generate"]) == 0
    found = json.loads((out / "leaderboard.json").read_text())["entries"]
    rows = {(entry["row"], entry["protocol"]): entry for entry in found}
    assert len(rows) == 2 * (1 + 2 + 4)  # the model, its blind controls, the priors
    model = rows["knowmvg (extent head)", "generate"]
    assert [origin["seed"] for origin in model["origins"]] == [0, 1]
    assert model["origins"][0]["model"] != model["origins"][1]["model"]
    assert len(model["miou_by_seed"]) == 2
    assert rows["mean box", "generate"]["origins"] == []
    assert "trained before" not in capsys.readouterr().err

    assert model["named_by"] == "model"
    assert model["difference"] is None  # the best: the others are compared with it
    assert rows["mean box", "generate"]["against"] == "knowmvg (extent head)"

    before = (out / "leaderboard.json").read_text()
    assert main([*command, "--rows", "knowmvg", "--protocols", "teacher_forced,generate"]) == 0
    told = capsys.readouterr().err
    assert told.count("trained before") == 2
    assert "-s0: generate" not in told  # nothing is asked twice
    assert (out / "leaderboard.json").read_text() == before


@pytest.mark.parametrize("protocols", ["", "both", "generate,generate"])
def test_wrong_protocols_are_refused_before_anything_starts(protocols: str, tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "demo.yaml"
    arguments = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"), "--protocols", protocols]
    assert main(["leaderboard", str(recipe), *arguments]) == 6
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_rows_of_another_recipe_are_found_again_under_either_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out, runs = tmp_path / "other.yaml", tmp_path / "results", tmp_path / "runs"
    folder = tmp_path / "data"
    recipe.write_text(yaml.safe_dump(TINY | {"name": "other", "data": TINY["data"] | {"folder": str(folder)}}))
    assert main(["train", str(recipe), "--runs", str(runs)]) == 0  # seed 0, under the recipe's own name
    assert main(["train", str(recipe), "seed=1", "name=other-s1", "--runs", str(runs)]) == 0
    command = ["leaderboard", "--also", f"Mine={recipe}", "--seeds", "2", "--runs", str(runs), "--timing", "0"]
    capsys.readouterr()
    assert main([*command, "--out", str(out), "--protocols", "phrase_given"]) == 0
    told = capsys.readouterr().err
    assert told.count("trained before") == 1  # the other one was found under its own name
    assert "other-s0" not in told
    assert {path.name for path in runs.iterdir()} == {"other", "other-s1", "parts"}
    found = json.loads((out / "leaderboard.json").read_text())["entries"]
    (mine,) = [entry for entry in found if entry["kind"] == "model"]
    assert (mine["row"], mine["recipe"], mine["system"]) == ("Mine", str(recipe), "prompted")
    assert [origin["seed"] for origin in mine["origins"]] == [0, 1]
    assert all(origin["minutes"] is not None for origin in mine["origins"])

    assert main(["phantom", str(tmp_path / "new"), "--studies", "24", "--size", "64", "--workers", "1"]) == 0
    elsewhere = ["--data", str(tmp_path / "new"), "--out", str(tmp_path / "none")]
    assert main([*command, *elsewhere]) == 6  # it may have learnt from these studies
    assert "one data set" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    given = ["leaderboard", "--run", f"Mine={runs / 'other'}", "--runs", str(runs), "--timing", "0", "--split", "train"]
    assert main([*given, *elsewhere, "--protocols", "phrase_given"]) == 0
    (runs / "other" / "run.json").write_text("[1")
    assert main([*given, *elsewhere, "--protocols", "phrase_given"]) == 7
