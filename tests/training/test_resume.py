"""A killed training run resumes to the same losses as an unbroken one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.nn.language_model import LanguageModel, LanguageModelConfig
from knowmvg.training.prompted.language import LanguageTask, SpokenBatches, speak
from knowmvg.training.recipe_parts import Schedule
from knowmvg.training.trainer import Stopped, fit

SCHEDULE = Schedule(steps=8, batch=1, lr=1e-2, warmup=2, checkpoint=3)


class Killed(Exception):
    """Stands for a power cut."""


class Interrupted(LanguageTask):
    """A task whose batches break off training after so many of them."""

    def __init__(self, task: LanguageTask, after: int, how: str) -> None:
        super().__init__(task.language, task._tokenizer[0])
        self.left, self.how = after, how

    def collate_batches(self, batches: Sequence[Any]) -> dict[str, Tensor]:
        self.left -= 1
        if self.left == 0:
            if self.how == "killed":
                raise Killed
            os.kill(os.getpid(), signal.SIGINT)
        return super().collate_batches(batches)


def _task() -> LanguageTask:
    tokenizer = GroundingTokenizer.train((speak(0, i)[0] for i in range(20)), 0, 320)
    torch.manual_seed(0)
    return LanguageTask(LanguageModel(LanguageModelConfig(len(tokenizer), width=32, layers=1, heads=2)), tokenizer)


def _fit(task: LanguageTask, folder: Path) -> None:
    batches = SpokenBatches(0, SCHEDULE.steps, 3)
    fit(
        task,
        batches,
        task.collate_batches,
        SCHEDULE,
        {"text": 1.0},
        folder,
        stage="test",
        seed=0,
        report=lambda _: None,
    )


def _losses(folder: Path) -> list[tuple[int, float]]:
    history = json.loads((folder / "history.json").read_text())
    return [(entry["step"], entry["loss_text"]) for entry in history if "loss_text" in entry]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "error"), [("killed", Killed), ("interrupted", Stopped)])
def test_broken_off_and_resumed_is_unbroken(tmp_path: Path, how: str, error: type[Exception]) -> None:
    whole = _task()
    _fit(whole, tmp_path / "whole")
    broken = Interrupted(_task(), 6, how)
    with pytest.raises(error):
        _fit(broken, tmp_path / "broken")
    resumed = _task()
    with torch.no_grad():
        for parameter in resumed.parameters():  # what it resumes from is the checkpoint, not what is in memory
            parameter.zero_()
    _fit(resumed, tmp_path / "broken")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)
    assert _losses(tmp_path / "broken")[-1] == pytest.approx(_losses(tmp_path / "whole")[-1])


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_training(tmp_path: Path) -> None:
    task = _task()
    with torch.no_grad():
        task.language.embedding.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="the loss is not finite"):
        _fit(task, tmp_path)
