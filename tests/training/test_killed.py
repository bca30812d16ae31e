"""A run that is killed at any moment resumes exactly; a full disk costs nothing that was saved."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from knowmvg.core.errors import OutputError
from knowmvg.training.checkpoints import checkpoints
from tests.training import killed_runs

SCRIPT = Path(killed_runs.__file__)


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path), "7"], env=environment, timeout=300, check=False)
    assert done.returncode == 0
    told = json.loads((tmp_path / "ended.json").read_text())
    assert told["ended"] == [0, *[-signal.SIGKILL] * killed_runs.KILLS, 0]
    assert len({tuple(left) for left in told["left"]}) > 3  # kills came at different steps
    assert all(len(left) <= 3 for left in told["left"])
    whole, killed = (load_file(tmp_path / name / "final.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(value, killed[name]) for name, value in whole.items())
    told_losses = [json.loads((tmp_path / name / "history.json").read_text()) for name in ("whole", "killed")]
    first, second = ([(e["step"], e["loss"], e["loss_text"], e["grad_norm"]) for e in losses] for losses in told_losses)
    assert first == second
    assert [path.name for path in checkpoints(tmp_path / "killed")] == ["checkpoint-22", "checkpoint-24"]
    assert not (tmp_path / "killed" / ".writing").exists()


def test_a_full_disk_leaves_the_checkpoint_before_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, run = killed_runs.small_task()
    fsync = os.fsync

    def full(handle: int) -> None:
        if (tmp_path / ".writing" / "checkpoint-4").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"room for checkpoint-4; got No space left .*checkpoint-2 is whole"):
            run(task, tmp_path)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-2"]
    assert not (tmp_path / ".writing").exists()
    kept = load_file(tmp_path / "checkpoint-2" / "model.safetensors")
    assert kept.keys() == task.state_dict().keys()


def test_a_limit_of_the_system_is_told_as_a_full_disk_is(tmp_path: Path) -> None:
    task, run = killed_runs.small_task()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))  # less than the weights take
    try:
        with pytest.raises(OutputError, match="room for checkpoint-2"):
            run(task, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoints(tmp_path) == []
    run(task, tmp_path)
    assert [path.name for path in checkpoints(tmp_path)][-1] == "checkpoint-24"
