"""Checkpoints that appear whole or not at all; the last one stays until the next is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate.utils.deepspeed import DeepSpeedSchedulerWrapper
from safetensors import SafetensorError
from torch import distributed
from transformers import Trainer
from transformers.trainer import SCHEDULER_NAME

from knowmvg.core.errors import OutputError

NOT_WRITTEN = (OSError, RuntimeError, SafetensorError)  # torch and safetensors have their own for a full disk


class WholeCheckpoints(Trainer):
    """A Trainer that writes a checkpoint beside its place and moves it there when it is on the disk.

    What is named ``checkpoint-<step>`` is therefore whole, whenever a run is killed. Frozen weights are left out of a
    DeepSpeed engine's files as they are out of ``model.safetensors``.
    """

    state: Any
    args: Any
    _staging: Path | None = None

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging or self.args.output_dir)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        folder = Path(self.args.output_dir)
        name = f"checkpoint-{self.state.global_step}"
        best = self.state.best_model_checkpoint
        self._staging = folder / ".writing"
        try:
            self._by_main(lambda: shutil.rmtree(folder / ".writing", ignore_errors=True))
            super()._save_checkpoint(model, trial)
            if self.state.best_global_step:  # written beside its place, it is read in its place
                self.state.best_model_checkpoint = str(folder / f"checkpoint-{self.state.best_global_step}")
            self._by_main(lambda: self._put_in_place(folder / ".writing" / name, folder / name))
        except NOT_WRITTEN as error:
            self.state.best_model_checkpoint = best
            shutil.rmtree(folder / ".writing", ignore_errors=True)
            raise _not_written(folder, name, error) from error
        finally:
            self._staging = None

    def _put_in_place(self, written: Path, place: Path) -> None:
        self.state.save_to_json(str(written / "trainer_state.json"))
        for path in (*(p for p in written.rglob("*") if p.is_file()), written):
            _to_disk(path)
        shutil.rmtree(place, ignore_errors=True)  # of a run that was taken up before it
        written.rename(place)
        written.parent.rmdir()
        _to_disk(place.parent)
        kept = {place.name, f"checkpoint-{self.state.best_global_step or self.state.global_step}"}
        earlier = [path for path in checkpoints(place.parent) if path.name not in kept]
        for path in earlier if len(kept) > 1 else earlier[:-1]:  # two stay: the last, and the best or the one before
            shutil.rmtree(path, ignore_errors=True)

    def _by_main(self, act: Callable[[], None]) -> None:
        """Done by the main process while the others wait."""
        if self.args.should_save:
            act()
        if distributed.is_initialized():
            distributed.barrier()

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The trained weights; a DeepSpeed engine writes its own, beside its optimizer."""
        if self.is_deepspeed_enabled and output_dir is not None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            return
        super().save_model(output_dir, _internal_call)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_deepspeed_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        self.model_wrapped.save_checkpoint(output_dir, exclude_frozen_parameters=True)
        if self.args.should_save and not isinstance(self.lr_scheduler, DeepSpeedSchedulerWrapper):  # not the engine's
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a stage, the earliest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.is_dir() and path.name[11:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[11:]))


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_written(folder: Path, name: str, error: Exception) -> OutputError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0][:160]
    free = shutil.disk_usage(folder).free / 2**20
    last = checkpoints(folder)
    left = f"{last[-1].name} is whole, and the same command goes on from there." if last else "Nothing was lost."
    got = f"{reason} in {folder} ({free:.0f} MiB free)"
    return OutputError(f"room for {name}", got, f"Make room and train again: {left}")
