"""Trains a tiny model once without and once with kills: ``python killed_runs.py FOLDER SEED``.

Everything is imported once; every training is a process of its own, forked off, and a kill is a real SIGKILL. It comes
at a random moment among those at which the process draws a batch or changes the disk on behalf of a checkpoint.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.utils import tensorboard  # noqa: F401  # imported before the fork, which then need not

from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.nn.language_model import LanguageModel, LanguageModelConfig
from knowmvg.training.prompted.language import LanguageTask, SpokenBatches, speak
from knowmvg.training.recipe_parts import Schedule
from knowmvg.training.trainer import fit

KILLS = 10
SCHEDULE = Schedule(steps=24, batch=1, lr=1e-2, warmup=2, checkpoint=2, accumulate=2)


def tiny(tokenizer: GroundingTokenizer) -> LanguageTask:
    """The smallest language model, its weights always the same."""
    torch.manual_seed(0)
    return LanguageTask(LanguageModel(LanguageModelConfig(len(tokenizer), width=32, layers=1, heads=2)), tokenizer)


def learn(task: LanguageTask, folder: Path, collate: Callable[..., Any] | None = None) -> None:
    """One stage of training."""
    batches = SpokenBatches(0, SCHEDULE.steps * SCHEDULE.accumulate, 2)
    collate = collate or task.collate_batches
    fit(task, batches, collate, SCHEDULE, {"text": 1.0}, folder, stage="t", seed=0, report=lambda _: None)


def small_task() -> tuple[LanguageTask, Callable[[LanguageTask, Path], None]]:
    """A task and how it is trained."""
    return tiny(GroundingTokenizer.train((speak(0, i)[0] for i in range(20)), 0, 320)), learn


def train(folder: Path, tokenizer: GroundingTokenizer, kill_at: int | None) -> None:
    """The whole training, or up to the ``kill_at``-th of its moments."""
    moments = 0

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*args: Any, **kwargs: Any) -> Any:
            nonlocal moments
            moments += 1
            if moments == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*args, **kwargs)

        return acting

    for owner, name in ((os, "fsync"), (Path, "rename"), (torch, "save"), (os, "rmdir")):
        setattr(owner, name, counted(getattr(owner, name)))
    task = tiny(tokenizer)
    learn(task, folder, counted(task.collate_batches))
    save_file(dict(task.state_dict()), str(folder / "final.safetensors"))


def forked(folder: Path, tokenizer: GroundingTokenizer, kill_at: int | None) -> int:
    """How a process that trains ended: 0, or the signal that killed it below 0."""
    process = os.fork()
    if process == 0:
        try:
            train(folder, tokenizer, kill_at)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main(folder: Path, seed: int) -> None:
    """Both trainings, and how each process of the second ended with the checkpoints that it left."""
    tokenizer = GroundingTokenizer.train((speak(0, i)[0] for i in range(20)), 0, 320)
    dice = random.Random(seed)
    ended = [forked(folder / "whole", tokenizer, None)]
    left = []
    for _ in range(KILLS):
        ended.append(forked(folder / "killed", tokenizer, dice.randint(8, 44)))
        left.append(sorted(path.name for path in (folder / "killed").glob("checkpoint-*")))
    ended.append(forked(folder / "killed", tokenizer, None))
    (folder / "ended.json").write_text(json.dumps({"ended": ended, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
