"""Sections of a recipe that every system has: where the studies come from, and the pace of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A section of a recipe: strict, frozen, its keys described by the strings below them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class DataPart(Part):
    """Where the studies come from: a manifest folder, or simulated radiographs that are made when they are missing."""

    folder: Path = Path("data/phantom")
    """data set folder; it is read as it is when it holds a `manifest.jsonl`, and simulated into otherwise"""
    studies: int = Field(default=12_000, ge=0)
    """studies to simulate where the folder holds none; 0 simulates nothing and asks for a prepared data set"""
    seed: int = Field(default=2026, ge=0)
    """seed of the simulation"""
    size: int = Field(default=256, ge=64, le=1024)
    """side of the simulated images in pixels"""
    splits: tuple[float, float, float] = (0.84, 0.06, 0.10)
    """shares of train, val and test in the simulation; patients are disjoint"""
    masked: Path | None = None
    """a simulated data set (`knowmvg phantom`) for the pre-training of the frozen parts, where `folder` has no masks"""
    allow_leaks: bool = False
    """train although patients or images are in two splits (`knowmvg leaks`); every test on such data is invalid"""


class Schedule(Part):
    """Length and pace of one stage of training."""

    steps: int = Field(ge=1)
    """optimizer steps"""
    batch: int = Field(ge=1)
    """items a step and accumulation"""
    lr: float = Field(gt=0)
    """highest learning rate (AdamW)"""
    weight_decay: float = Field(default=0.0, ge=0)
    """of AdamW"""
    warmup: int = Field(default=100, ge=0)
    """steps of linear rise to `lr`, at most half of all"""
    decay: Literal["linear", "cosine", "constant"] = "cosine"
    """shape of the learning rate after the warm-up"""
    clip: float = Field(default=1.0, gt=0)
    """greatest norm of the gradient"""
    checkpoint: int = Field(default=250, ge=1)
    """steps between checkpoints, where none is validated"""
    validate_: int = Field(default=0, ge=0, alias="validate")
    """steps between validations, each with a checkpoint, of which the best is kept (0: none); read by `train` alone"""
    accumulate: int = Field(default=1, ge=1)
    """batches whose gradients make one step, of all processes together; in `train` a multiple of their number"""


class LastSchedule(Schedule):
    """Length and pace of `train`, the stage that a run has for itself: keys of every schedule, and this one."""

    beta2: float = Field(default=0.98, gt=0, lt=1)
    """decay of AdamW's running mean of squared gradients; that of the gradients is 0.9. Shared parts are made with
    0.98, so that runs share them whatever this says"""


class MachinePart(Part):
    """What a run is computed on (docs/training.md); what it learns is the same but for rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is the GPU where there is one; under torchrun each process takes its own"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """arithmetic of `train`: single precision, or bfloat16 (autocast) in all but the decoding of boxes and the losses.
    For GPUs that have it: most CPUs are slower with it. Shared parts are always made in single precision"""
    deepspeed: Path | None = None
    """a DeepSpeed configuration for `train`, such as `recipes/deepspeed/zero2.json`; needs the extra `deepspeed`"""
    workers: int = Field(default=0, ge=0, le=64)
    """processes that make batches beside the one that trains, and threads that read images for the feature cache; 0
    leaves both to the process itself"""
    report_to: tuple[str, ...] = ("tensorboard",)
    """who is told the losses: names that transformers.Trainer knows (`tensorboard`, `wandb`, `mlflow` ...), or none"""
    cache: Path | None = None
    """folder of frozen features, which any number of runs share; null is `frozen` among the parts of the runs"""

    cache_batch: int = Field(default=0, ge=0)
    """images that are encoded at once for it; 0 takes what 70 % of the free memory holds, 16 at most. For the latents
    of a diffusion model 0 takes 16"""

    def shared(self) -> MachinePart:
        """The machine as shared parts are made on it: the same weights, whatever run makes them."""
        return self.model_copy(update={"precision": "fp32", "deepspeed": None})


class RunPart(Part):
    """What every recipe begins with."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """name of the run's folder and of the model in results"""
    seed: int = Field(default=0, ge=0)
    """of the run's own weights and draws"""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 leaves it to torch"""
    machine: MachinePart = MachinePart()
    data: DataPart = DataPart()

    def taught(self) -> RunPart:
        """What it teaches: the recipe without what else a run is computed with, of which the precision stays."""
        return self.model_copy(update={"threads": 0, "machine": MachinePart(precision=self.machine.precision)})
