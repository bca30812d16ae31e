"""One stage of training on transformers.Trainer: named loss terms, exact resume, a clean stop, the best checkpoint."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from knowmvg.training.recipe_parts import Schedule

Validate = Callable[[nn.Module], dict[str, float]]
Report = Callable[[str], None]


class Stopped(Exception):
    """Training was interrupted and has saved a checkpoint to go on from."""


class _Terms(Trainer):
    """Sums the model's named loss terms with the recipe's weights and logs each of them."""

    def __init__(self, *args: Any, weights: Mapping[str, float], check: Validate | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.weights = weights
        self.check = check
        self.model_accepts_loss_kwargs = False
        self.control: Any
        self._seen: dict[str, list[float]] = {}

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The data sets of this package come in random order already, and draw neighbours together."""
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        terms: dict[str, Tensor] = model(**inputs)
        total = torch.stack([self.weights[name] * terms[name] for name in terms if self.weights.get(name)]).sum()
        if not bool(torch.isfinite(total)):
            raise FloatingPointError(f"the loss is not finite: { {k: float(v.detach()) for k, v in terms.items()} }")
        for name, value in terms.items():
            self._seen.setdefault(name, []).append(float(value.detach()))
        return (total, terms) if return_outputs else total

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        logs = dict(logs)
        logs.update({f"loss_{name}": sum(values) / len(values) for name, values in self._seen.items()})
        self._seen.clear()
        super().log(logs, start_time)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        assert self.check is not None
        self.model.eval()
        metrics = {f"eval_{name}": value for name, value in self.check(self.model).items()}
        self.model.train()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _Narrator(TrainerCallback):
    """One line every so many steps: step, loss, pace and what is left."""

    def __init__(self, stage: str, report: Report) -> None:
        self.stage, self.report, self.started, self.first = stage, report, time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.started, self.first = time.monotonic(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
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


class _CleanStop(TrainerCallback):
    """The first interrupt saves a checkpoint and stops; a second one is the system's usual."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
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
        if self.asked:
            control.should_save = control.should_training_stop = True
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._restore()


def fit(
    task: nn.Module,
    dataset: Dataset[Any],
    collate: Callable[[list[Any]], dict[str, Any]],
    schedule: Schedule,
    weights: Mapping[str, float],
    folder: Path,
    *,
    stage: str,
    seed: int,
    report: Report,
    validate: Validate | None = None,
    best: str | None = None,
) -> dict[str, float]:
    """Train ``task`` in place; ``task(**collated)`` gives named loss terms.

    Checkpoints (model, optimizer, schedule, random states) go to ``folder/checkpoint-<step>``; a run that finds one
    goes on from it and sees the same batches in the same order as an unbroken run. TensorBoard events go to
    ``folder/logs``. With ``validate`` the checkpoint with the highest ``best`` metric is loaded at the end.

    Returns facts about the stage: seconds in this process, steps.

    Raises:
        Stopped: interrupted; a checkpoint was saved.
        FloatingPointError: a loss became infinite or NaN.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checks = validate is not None and schedule.validate_ > 0
    every = schedule.validate_ if checks else schedule.checkpoint
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "logs")
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=schedule.steps,
        per_device_train_batch_size=schedule.batch,
        gradient_accumulation_steps=schedule.accumulate,
        learning_rate=schedule.lr,
        weight_decay=schedule.weight_decay,
        adam_beta2=0.98,
        max_grad_norm=schedule.clip,
        warmup_steps=min(schedule.warmup, schedule.steps // 2),
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(schedule.decay, schedule.decay),
        logging_steps=max(1, min(50, schedule.steps // 4)),
        save_steps=every,
        save_total_limit=2,
        eval_strategy="steps" if checks else "no",
        eval_steps=schedule.validate_ if checks else None,
        load_best_model_at_end=checks,
        metric_for_best_model=f"eval_{best}" if checks else None,
        greater_is_better=True if checks else None,
        seed=seed,
        data_seed=seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        remove_unused_columns=False,
        label_names=[],
        report_to=["tensorboard"],
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        average_tokens_across_devices=False,
    )
    stop = _CleanStop()
    trainer = _Terms(
        model=task,
        args=arguments,
        data_collator=collate,
        train_dataset=dataset,
        eval_dataset=dataset if checks else None,
        callbacks=[_Narrator(stage, report), stop],
        weights=weights,
        check=validate,
    )
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ == "PrinterCallback":
            trainer.remove_callback(callback)
    started = time.monotonic()
    last = get_last_checkpoint(str(folder))
    if last is not None:
        report(f"{stage}: going on from {Path(last).name}")
    trainer.train(resume_from_checkpoint=last)
    if stop.asked:
        raise Stopped(f"{stage} stopped at step {trainer.state.global_step}; the same command goes on from there")
    history = [
        entry for entry in trainer.state.log_history if "loss" in entry or any(k.startswith("eval_") for k in entry)
    ]
    (folder / "history.json").write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
    return {"seconds": time.monotonic() - started, "steps": float(trainer.state.global_step)}
