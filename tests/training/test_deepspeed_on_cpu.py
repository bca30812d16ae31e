"""ZeRO-2 and ZeRO-3 by the command, on two CPU processes: what one process learns, kept, taken up and saved whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from knowmvg.training.run import train
from tests.tiny import TINY

CONFIGS = Path(__file__).parents[2] / "recipes" / "deepspeed"
STEPS = 6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed: knowmvg[deepspeed]"),
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process without DeepSpeed; beside it the recipe. One of its batches has no box."""
    folder = tmp_path_factory.mktemp("deepspeed")
    schedule = {"steps": STEPS, "batch": 2, "accumulate": 2, "lr": 1e-3, "validate": STEPS // 2}
    values = {**TINY, "threads": 1, "data": {**TINY["data"], "folder": str(folder / "data")}, "train": schedule}
    # DeepSpeed's optimizer steps all that is trained, a gate that is not in use yet too: no such steps here
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**values, "local_steps": 0}), encoding="utf-8")
    return train(folder / "recipe.yaml", ["name=alone"], folder / "runs", lambda _: None)


def divided(alone: Path, stage: int, name: str) -> Path:
    """The same run of two processes; with stage 3 no weight is small enough to be left whole."""
    folder = alone.parents[1]
    config = json.loads((CONFIGS / f"zero{stage}.json").read_text(encoding="utf-8"))
    if stage == 3:
        config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    (folder / f"zero{stage}.json").write_text(json.dumps(config), encoding="utf-8")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = str(Path(__file__).with_name("deepspeed_on_cpu.py"))
    said = [f"name={name}", "machine.device=cpu", f"machine.deepspeed={folder / f'zero{stage}.json'}"]
    done = subprocess.run(
        [sys.executable, *command, script, "train", str(folder / "recipe.yaml"), *said, "--runs", str(alone.parent)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=300,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return alone.parent / name


def history(run: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((run / "train" / "history.json").read_text(encoding="utf-8"))
    return found


def assert_as_alone(run: Path, alone: Path) -> None:
    for one, two in zip(history(alone), history(run), strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert two[name] == pytest.approx(value, rel=1e-4, abs=1e-6), (one["step"], name)
    expected, got = (load_file(folder / "model" / "model.safetensors") for folder in (alone, run))
    assert expected.keys() == got.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, rtol=2e-3, atol=1e-4, msg=name)
    figures = [json.loads((folder / "run.json").read_text())["validation"] for folder in (alone, run)]
    assert figures[1] == pytest.approx(figures[0], abs=1e-3)


def kept_by_engine(run: Path) -> set[str]:
    """Names of the weights in the last checkpoint of an engine."""
    (states, *_) = sorted((run / "train" / f"checkpoint-{STEPS}").glob("global_step*/*model_states.pt"))
    return set(torch.load(states, weights_only=True)["module"])


def test_a_batch_without_a_box_is_among_them(alone: Path) -> None:
    losses = [row["loss"] for row in history(alone) if "loss" in row]
    assert min(losses) < max(losses) - 1  # one of its two batches taught the language model alone


def test_zero_2_learns_what_one_process_does(alone: Path) -> None:
    assert_as_alone(divided(alone, 2, "two"), alone)


def test_zero_3_learns_what_one_process_does_and_goes_on_from_its_checkpoint(alone: Path) -> None:
    run = divided(alone, 3, "three")
    assert_as_alone(run, alone)
    assert not [n for n in kept_by_engine(run) if n.startswith(("model.image_encoder.", "model.segmenter."))]
    weights, told = load_file(run / "model" / "model.safetensors"), history(run)
    for folder in (run / "model", run / "train" / f"checkpoint-{STEPS}"):
        shutil.rmtree(folder)
    (run / "run.json").unlink()
    assert divided(alone, 3, "three") == run
    assert history(run) == told
    again = load_file(run / "model" / "model.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())
