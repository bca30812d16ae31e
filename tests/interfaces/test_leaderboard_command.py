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
    command = ["leaderboard", str(recipe), "--out", str(out), "--runs", str(runs), "--seeds", "2"]
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
