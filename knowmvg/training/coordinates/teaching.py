"""A stage from its first step, or its last checkpoint, to its end: progress, a clean stop, the best state kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from knowmvg.core.errors import OutputError
from knowmvg.training.callbacks import CleanStop
from knowmvg.training.coordinates.stage import Progress, Stage
from knowmvg.training.run_folder import write_json
from knowmvg.training.studies import Report
from knowmvg.training.trainer import Stopped

Figures = dict[str, float]
TELL = 50  # steps between two lines of progress


def teach(
    stage: Stage,
    name: str,
    folder: Path,
    report: Report,
    validate: Callable[[], Figures] | None = None,
    every: int = 0,
    best: str = "miou",
) -> Figures:
    """Take a stage's steps, from its checkpoint in ``folder`` where there is one; ``history.json`` has the losses.

    Args:
        stage: whose model is trained in place.
        name: in lines of progress.
        folder: where ``state.pt`` (the last checkpoint) and ``best.pt`` (what was trained, at its best) lie.
        report: takes a line of progress.
        validate: figures of the model as it is.
        every: steps between validations; 0 is once, at the end.
        best: the figure by which the state is chosen.

    Returns the figures of the state that the model is left in, which is the best of those that were validated.

    Raises:
        Stopped: interrupted; a checkpoint was saved.
        FloatingPointError: a loss became infinite or NaN.
        OutputError: a checkpoint cannot be written; the one before it is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = _State(stage, folder)
    if kept.resumed:
        report(f"{name}: going on from step {stage.step} of {stage.steps}")
    stop, pace = CleanStop(), _Pace(name, stage, report, kept.history)
    stop.on_train_begin(None, None, None)
    try:
        for taken in stage.run():
            pace.tell(taken)
            if validate is not None and (taken.step == stage.steps or (every and taken.step % every == 0)):
                figures = validate()
                report(f"{name} {taken.step}/{stage.steps}  " + "  ".join(f"{k} {v:.4f}" for k, v in figures.items()))
                kept.note(figures, best)
            if stop.asked or taken.step % stage.part.checkpoint == 0 or taken.step == stage.steps:
                kept.save()
            if stop.asked and taken.step < stage.steps:
                raise Stopped(f"{name} stopped at step {taken.step}; the same command goes on from there")
    finally:
        stop.on_train_end(None, None, None)
    kept.load_best()
    write_json(folder / "history.json", kept.history)
    return kept.figures


class _State:
    """The checkpoint of a stage: what ``Stage.state`` gives, the losses so far, figures and weights at their best."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.history: list[dict[str, float]] = []
        self.figures: Figures = {}
        self.resumed = (folder / "state.pt").is_file()
        if self.resumed:
            state = _read(folder / "state.pt", stage)
            self.history, self.figures = state.pop("history"), state.pop("figures")
            stage.restore(state)

    def note(self, figures: Figures, best: str) -> None:
        """Keep the weights if they are the best so far; what a later run finds is decided by the next ``save``."""
        if not self.figures or figures[best] >= self.figures[best]:
            self.figures = figures | {"step": float(self.stage.step)}
            _write(self.folder / f"best-{self.stage.step}.pt", self.stage.state()["trained"])
            self.save()

    def save(self) -> None:
        """Write the state, whole or not at all, and leave no other weights than the best."""
        state = self.stage.state() | {"history": self.history, "figures": self.figures}
        _write(self.folder / "state.pt", state)
        for path in self.folder.glob("best-*.pt"):
            if path.name != self._best:
                path.unlink()

    def load_best(self) -> None:
        """Put the best weights into the model, where there are validated ones."""
        if not self.figures:
            return
        trained = _read(self.folder / self._best, self.stage)
        with torch.no_grad():
            for name, parameter in self.stage.parameters.items():
                parameter.copy_(trained[name])

    @property
    def _best(self) -> str:
        return f"best-{int(self.figures['step'])}.pt" if self.figures else ""


class _Pace:
    """A line of progress every so many steps, with the mean loss since the last one."""

    def __init__(self, name: str, stage: Stage, report: Report, history: list[dict[str, float]]) -> None:
        self.name, self.stage, self.report, self.history = name, stage, report, history
        self.every = max(1, min(TELL, stage.steps // 4))
        self.started, self.first = time.monotonic(), stage.step
        self._losses: list[float] = []

    def tell(self, taken: Progress) -> None:
        """Take note of a step."""
        self._losses.append(taken.loss)
        if taken.step % self.every and taken.step != self.stage.steps:
            return
        loss = sum(self._losses) / len(self._losses)
        self._losses.clear()
        self.history.append({"step": taken.step, "loss": loss, "rate": taken.rate})
        pace = (time.monotonic() - self.started) / max(1, taken.step - self.first)
        left = pace * (self.stage.steps - taken.step) / 60
        self.report(
            f"{self.name} {taken.step}/{self.stage.steps}  loss {loss:.4f}  {pace:.2f} s/step, {left:.1f} min left"
        )


def _read(path: Path, stage: Stage) -> Any:
    return torch.load(path, map_location=stage.loaded.vlm.model.device, weights_only=True)


def _write(path: Path, state: Any) -> None:
    temporary = path.with_suffix(".partial")
    try:
        with temporary.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch has its own for a full disk
        temporary.unlink(missing_ok=True)
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0][:160]
        todo = "Make room and train again: the same command goes on from the last checkpoint."
        raise OutputError(f"room for {path.name}", f"{reason} in {path.parent}", todo) from error
