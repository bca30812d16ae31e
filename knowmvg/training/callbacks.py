"""What a stage of training does besides learning: tell its losses, and stop cleanly when it is asked to."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback

Report = Callable[[str], None]


class Narrator(TrainerCallback):
    """One line every so many steps: step, loss, pace and what is left."""

    def __init__(self, stage: str, report: Report) -> None:
        self.stage, self.report, self.started, self.first = stage, report, time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.started, self.first = time.monotonic(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Tell the losses."""
        logs = logs or {}
        done = state.global_step - self.first
        pace = (time.monotonic() - self.started) / max(done, 1)
        left = pace * (state.max_steps - state.global_step) / 60
        shown = {k: v for k, v in logs.items() if k.startswith(("loss", "eval_")) and isinstance(v, float)}
        terms = "  ".join(f"{k.removeprefix('loss_')} {v:.4f}" for k, v in shown.items())
        if terms:
            self.report(
                f"{self.stage} {state.global_step}/{state.max_steps}  {terms}  {pace:.2f} s/step, {left:.1f} min left"
            )


class AfterStep(TrainerCallback):
    """Calls something after every optimizer step, before the step is validated or kept."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Call it."""
        self.call()


class CleanStop(TrainerCallback):
    """The first interrupt saves a checkpoint and stops; a second one is the system's usual."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Listen for interrupts."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Save and stop, if that was asked for."""
        if distributed.is_initialized():  # all processes stop at the same step, whichever was asked first
            asked = torch.tensor(int(self.asked), device=args.device)
            distributed.all_reduce(asked, distributed.ReduceOp.MAX)
            self.asked = bool(asked)
        if self.asked:
            control.should_save = control.should_training_stop = True
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave interrupts to whom they were left before."""
        self._restore()
