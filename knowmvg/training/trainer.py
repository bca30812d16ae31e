"""One stage of training on transformers.Trainer: named loss terms, exact resume, a clean stop, the best checkpoint."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import TrainingArguments

from knowmvg.core.errors import OutputError, RecipeError
from knowmvg.losses.stand_in import of_term, stands_in
from knowmvg.sources.whole_files import whole_file
from knowmvg.training.callbacks import AfterStep, CleanStop, Narrator, Report
from knowmvg.training.checkpoints import WholeCheckpoints, checkpoints
from knowmvg.training.deepspeed import checked, in_parts
from knowmvg.training.hardware import batches_a_process, device_of, processes
from knowmvg.training.recipe_parts import MachinePart, Schedule

Validate = Callable[[nn.Module], dict[str, float]]
HOURS = 3600  # that processes wait for each other, in seconds


class Stopped(Exception):
    """Training was interrupted and has saved a checkpoint to go on from."""


class _Terms(WholeCheckpoints):
    """Sums the model's named loss terms with the recipe's weights and logs each of them."""

    def __init__(
        self, *args: Any, weights: Mapping[str, float], check: Validate | None, in_parts: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.weights = weights
        self.check = check
        self.in_parts = in_parts
        self.model_accepts_loss_kwargs = False
        self.control: Any
        self._seen: list[dict[str, Tensor]] = []
        self._sums: dict[str, tuple[float, int]] = {}

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The data sets of this package come in random order already, and draw neighbours together."""
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        told: dict[str, Tensor] = model(**inputs)
        terms = {name: value for name, value in told.items() if not stands_in(name)}
        total = torch.stack([self.weights[n] * terms[n].float() for n in terms if self.weights.get(n)]).sum()
        if not bool(torch.isfinite(total)):
            raise FloatingPointError(f"the loss is not finite: { {k: float(v.detach()) for k, v in terms.items()} }")
        self._seen.append({"": total.detach(), **{name: value.detach() for name, value in terms.items()}})
        total = sum((value for name, value in told.items() if stands_in(name)), total)
        return (total, terms) if return_outputs else total

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:  # the mean since the last log, as the terms are, also where a run was broken off between
            terms = self._means()
            logs = {**logs, "loss": terms.pop(""), **{f"loss_{name}": value for name, value in terms.items()}}
        super().log(logs, start_time)

    def _added(self) -> dict[str, tuple[float, int]]:
        """Sum and number of each term since the last log, in this process."""
        for terms in self._seen:
            for name, value in terms.items():
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = total + float(value), count + 1
        self._seen.clear()
        return self._sums

    def _means(self) -> dict[str, float]:
        """The mean of each term since the last log, over the batches of all processes that had it."""
        everywhere: list[Any] = [self._added()]
        if distributed.is_initialized():  # they need not have the same terms: a batch may be without a box
            everywhere = [None] * distributed.get_world_size()
            distributed.all_gather_object(everywhere, self._added())
        self._sums = {}
        names = dict.fromkeys(name for part in everywhere for name in part)
        found = {name: [part[name] for part in everywhere if name in part] for name in names}
        return {name: sum(t for t, _ in parts) / sum(c for _, c in parts) for name, parts in found.items()}

    def _save_rng_state(self, output_dir: str) -> None:
        """Beside the random states: what the next log is to add to."""
        super()._save_rng_state(output_dir)
        path = Path(output_dir) / f"terms-{self.args.process_index}.json"
        path.write_text(json.dumps(self._added()), encoding="utf-8")

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        path = Path(checkpoint or "") / f"terms-{self.args.process_index}.json"
        if checkpoint is not None and path.is_file():
            sums = json.loads(path.read_text(encoding="utf-8"))
            self._sums = {name: (total, count) for name, (total, count) in sums.items()}

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        metrics = {f"eval_{name}": value for name, value in self.figures().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def figures(self) -> dict[str, float]:
        """What validation says of the model as it is; weights in parts are run by DeepSpeed's engine alone."""
        assert self.check is not None
        model = self.model_wrapped if self.in_parts else self.model
        model.eval()
        found = self.check(model)
        model.train()
        return found


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
    machine: MachinePart | None = None,
    after_step: Callable[[], None] | None = None,
    beta2: float = 0.98,
) -> dict[str, float]:
    """Train ``task`` in place; ``task(**collated)`` gives named loss terms.

    Checkpoints (what is trained, optimizer, schedule, random states) go to ``folder/checkpoint-<step>``; a run that
    finds one goes on from it and sees the same batches in the same order as an unbroken run. TensorBoard events go to
    ``folder/logs``. With ``validate`` the checkpoint with the highest ``best`` metric is loaded at the end.

    Of several processes each takes its share of the ``schedule.accumulate`` batches of a step, so that their number
    changes no step; the main one alone writes.

    ``after_step`` is called after every optimizer step; what it changes in the task's state is in the checkpoint of
    that step. ``beta2`` is AdamW's.

    ``validate`` is given the task, or DeepSpeed's engine around it where that alone can run it (ZeRO-3).

    Returns facts about the stage: seconds in this process, steps; of weights in parts also what ``validate`` says of
    those that are left, which cannot be asked afterwards.

    Raises:
        Stopped: interrupted; a checkpoint was saved.
        FloatingPointError: a loss became infinite or NaN.
        RecipeError: a machine that is not there, or processes that cannot share a step.
        OutputError: a checkpoint cannot be written; the one before it is whole.
    """
    machine = machine or MachinePart()
    folder.mkdir(parents=True, exist_ok=True)
    checks = validate is not None and schedule.validate_ > 0
    arguments = _arguments(schedule, folder, seed, machine, stage, f"eval_{best}" if checks else None, beta2)
    hook = task.register_forward_hook(_unweighted_apart(weights))
    stop = CleanStop()
    with _known_reporters(machine):
        trainer = _Terms(
            model=task,
            args=arguments,
            data_collator=collate,
            train_dataset=dataset,
            eval_dataset=dataset if checks else None,
            callbacks=[*([AfterStep(after_step)] if after_step else []), Narrator(stage, report), stop],
            weights=weights,
            check=validate,
            in_parts=in_parts(machine),
        )
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ == "PrinterCallback":
            trainer.remove_callback(callback)
    started = time.monotonic()
    last = checkpoints(folder)
    if last:
        report(f"{stage}: going on from {last[-1].name}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`broadcast_buffers`", category=FutureWarning)  # accelerate's
            trainer.train(resume_from_checkpoint=str(last[-1]) if last else None)
    except OSError as error:
        todo = "Make room and train again: the same command goes on from the last checkpoint."
        raise OutputError(
            f"a folder to write in for {stage}", f"{error.strerror or error} in {folder}", todo
        ) from error
    finally:
        hook.remove()
    if stop.asked:
        raise Stopped(f"{stage} stopped at step {trainer.state.global_step}; the same command goes on from there")
    if processes().main:
        history = [e for e in trainer.state.log_history if "loss" in e or any(k.startswith("eval_") for k in e)]
        with whole_file(folder / "history.json") as stream:
            stream.write(json.dumps(history, indent=1) + "\n")
    left = trainer.figures() if validate is not None and trainer.in_parts else {}
    return {"seconds": time.monotonic() - started, "steps": float(trainer.state.global_step), **left}


def _arguments(
    schedule: Schedule, folder: Path, seed: int, machine: MachinePart, stage: str, metric: str | None, beta2: float
) -> TrainingArguments:
    device = device_of(machine)
    key = stage if stage == "train" else f"{stage}.schedule"
    accumulate = batches_a_process(schedule, key)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "logs")
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=schedule.steps,
        per_device_train_batch_size=schedule.batch,
        gradient_accumulation_steps=accumulate,
        learning_rate=schedule.lr,
        weight_decay=schedule.weight_decay,
        adam_beta2=beta2,
        max_grad_norm=schedule.clip,
        warmup_steps=min(schedule.warmup, schedule.steps // 2),
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(schedule.decay, schedule.decay),
        logging_steps=max(1, min(50, schedule.steps // 4)),
        save_steps=schedule.validate_ if metric else schedule.checkpoint,
        eval_strategy="steps" if metric else "no",
        eval_steps=schedule.validate_ if metric else None,
        load_best_model_at_end=metric is not None,
        metric_for_best_model=metric,
        greater_is_better=True if metric else None,
        seed=seed,
        data_seed=seed,
        use_cpu=device.type == "cpu",
        bf16=machine.precision == "bf16" and machine.deepspeed is None,
        remove_unused_columns=False,
        label_names=[],
        report_to=list(machine.report_to),
        disable_tqdm=True,
        dataloader_num_workers=machine.workers,
        dataloader_persistent_workers=machine.workers > 0,
        dataloader_pin_memory=device.type == "cuda",
        average_tokens_across_devices=False,
        ddp_broadcast_buffers=False,
        ddp_timeout=12 * HOURS,
        deepspeed=checked(machine),
    )
    if arguments.world_size != processes().world:
        got = f"{arguments.world_size} that found each other"
        todo = "Start them by torchrun (docs/training.md); accelerate launch --cpu starts one."
        raise RecipeError(f"{processes().world} processes", got, todo)
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # more than one GPU without torchrun: one is used; a batch is not cut up among them
    return arguments


def _unweighted_apart(weights: Mapping[str, float]) -> Callable[..., dict[str, Tensor]]:
    """Terms that only are told pass no gradient: several processes wait for the gradients of all that could."""

    def detached(task: nn.Module, inputs: Any, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value if weights.get(of_term(name)) else value.detach() for name, value in terms.items()}

    return detached


@contextmanager
def _known_reporters(machine: MachinePart) -> Iterator[None]:
    """What transformers says of a name in ``report_to``, or of one that is not installed, as an error in one line."""
    try:
        yield
    except (ValueError, RuntimeError, ImportError) as error:
        names = ", ".join(machine.report_to)
        if not any(name in str(error).lower() for name in machine.report_to):
            raise
        todo = "Install what is missing, or set machine.report_to=[tensorboard]."
        raise RecipeError(f"machine.report_to that can be told: {names}", str(error).splitlines()[0], todo) from error
