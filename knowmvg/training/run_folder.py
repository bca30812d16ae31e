"""What every run keeps beside its model: the seconds of its stages and the facts that a card is written from."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from knowmvg.grounders.versions import software_versions
from knowmvg.training.data_origin import data_origin
from knowmvg.training.hardware import described, processes
from knowmvg.training.recipe_parts import RunPart

SECONDS = "seconds.json"
OF_A_SEED = ("reports", "boxes", "train")
"""Stages that every seed of a recipe goes through by itself, in their order; runs share what came before them."""


@contextmanager
def timed(folder: Path, stage: str) -> Iterator[None]:
    """Add the seconds that a stage takes to those in ``folder``, interrupted attempts included."""
    started = time.monotonic()
    try:
        yield
    finally:
        if processes().main:
            seconds = seconds_of(folder)
            seconds[stage] = round(seconds.get(stage, 0.0) + time.monotonic() - started, 1)
            write_json(folder / SECONDS, seconds)


def seconds_of(folder: Path) -> dict[str, float]:
    """The seconds of each stage so far."""
    path = folder / SECONDS
    seconds: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return seconds


def write_json(path: Path, values: Any) -> None:
    """Write values as JSON, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's weights as safetensors, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    save_file(module.state_dict(), str(temporary))
    os.replace(temporary, path)


def common_facts(recipe: RunPart, data_fingerprint: str, seconds: dict[str, float]) -> dict[str, Any]:
    """What any run's ``run.json`` says: recipe, data and their origin, seconds, threads, versions, commit."""
    return {
        "recipe": recipe.model_dump(mode="json", by_alias=True),
        "data_fingerprint": data_fingerprint,
        "data_origin": data_origin(recipe.data.folder).to_dict(),
        "seconds": seconds,
        "threads": torch.get_num_threads(),
        "machine": described(recipe.machine),
        "versions": software_versions(),
        "git": git_hash(),
    }


def git_hash() -> str | None:
    """The commit that the code was checked out at, ``-dirty`` with changes; none for an installed package."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
