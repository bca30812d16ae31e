"""Two processes that torchrun starts learn what one does; the main one alone writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from knowmvg.core.errors import RecipeError
from knowmvg.training.hardware import batches_a_process, processes
from knowmvg.training.recipe_parts import Schedule
from knowmvg.training.run import train
from tests.tiny import TINY


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    schedule = {"steps": 4, "batch": 2, "accumulate": 2, "lr": 1e-3, "validate": 2}
    values = {**TINY, "threads": 1, "data": {**TINY["data"], "folder": str(tmp_path / "data")}, "train": schedule}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values), encoding="utf-8")
    one = train(recipe, ["name=one"], tmp_path / "runs", lambda _: None)
    environment = os.environ | {
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "knowmvg"]
    arguments = ["train", str(recipe), "name=two", "machine.device=cpu", "--runs", str(tmp_path / "runs")]
    done = subprocess.run(
        [*command, *arguments], env=environment, timeout=300, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("machine: CPU, 1 thread, fp32, 2 processes") == 1
    assert done.stderr.count("train 4/4  loss") == 1
    two = tmp_path / "runs" / "two"
    assert json.loads((two / "run.json").read_text())["machine"].endswith("2 processes")
    losses = [json.loads((run / "train" / "history.json").read_text()) for run in (one, two)]
    assert len(losses[0]) == len(losses[1]) == 6
    for alone, shared in zip(*losses, strict=True):
        assert alone.keys() == shared.keys()
        assert all(alone[name] == pytest.approx(shared[name], rel=1e-4, abs=1e-6) for name in alone)
    weights = [load_file(run / "model" / "model.safetensors") for run in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=2e-3, atol=1e-4, msg=name)


def test_processes_that_cannot_share_a_step_are_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert not processes().main
    assert batches_a_process(Schedule(steps=1, batch=1, lr=1.0, accumulate=8)) == 2
    with pytest.raises(RecipeError, match=r"train.accumulate=4 train.batch=7 for about as many"):
        batches_a_process(Schedule(steps=1, batch=14, lr=1.0, accumulate=2))
