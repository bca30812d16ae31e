"""DeepSpeed by recipe: a configuration that ships (recipes/deepspeed) or one of your own, read before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from knowmvg.core.errors import RecipeError
from knowmvg.training.hardware import device_of
from knowmvg.training.recipe_parts import MachinePart

LARGEST = 2**20  # bytes of a configuration
GIVEN = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")


def read_config(path: Path) -> dict[str, Any]:
    """A DeepSpeed configuration. Raises ``RecipeError`` for none, or one that sets what the recipe sets."""
    try:
        if path.stat().st_size > LARGEST:
            raise RecipeError(f"at most {LARGEST} bytes", f"more in {path}", "Name a DeepSpeed configuration.")
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        todo = "Name one of recipes/deepspeed, or one of your own."
        raise RecipeError("a DeepSpeed configuration in JSON", f"{type(error).__name__} at {path}", todo) from error
    stage = config.get("zero_optimization", {}).get("stage") if isinstance(config, dict) else None
    if stage not in (1, 2, 3):
        raise RecipeError("zero_optimization.stage 1, 2 or 3", f"{stage!r} in {path}", "Correct it there.")
    for key in GIVEN:
        if config.get(key, "auto") != "auto":
            raise RecipeError(f"{key}: auto, which the recipe says", f"{config[key]!r} in {path}", "Correct it there.")
    return dict(config)


def checked(machine: MachinePart) -> dict[str, Any] | None:
    """The configuration of a run, or ``None`` for a run without DeepSpeed.

    Weights keep their precision: half for a frozen base, single for what is trained. ``precision: bf16`` is DeepSpeed's
    autocast, not its ``bf16`` section, which would train the box decoder in half precision; and without its list of
    modules whose weights and gradients travel in half precision, the box decoder's among them.

    Raises ``RecipeError`` as ``read_config`` does, and where DeepSpeed is missing.
    """
    if machine.deepspeed is None:
        return None
    config = read_config(machine.deepspeed)
    if device_of(machine).type == "cpu":  # transformers leaves DeepSpeed out there, and says nothing
        raise RecipeError("a GPU for machine.deepspeed", "a CPU", "Leave it out: machine.deepspeed=null.")
    if find_spec("deepspeed") is None:
        raise RecipeError("DeepSpeed", "none installed", "Install it: pip install 'knowmvg[deepspeed]'.")
    half = machine.precision == "bf16"
    autocast = {"enabled": half, "dtype": "bfloat16", "lower_precision_safe_modules": []}
    return {"torch_autocast": autocast, **config}


def in_parts(machine: MachinePart) -> bool:
    """Whether each process holds a part of every weight (ZeRO-3). Raises ``RecipeError`` as ``read_config`` does."""
    return machine.deepspeed is not None and _stage(read_config(machine.deepspeed)) == 3


def _stage(config: dict[str, Any]) -> int:
    stage: int = config["zero_optimization"]["stage"]
    return stage


@contextmanager
def whole_parameters(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Put together what ZeRO-3 keeps in parts, in all processes at once; nothing without it."""
    in_parts = [parameter for parameter in parameters if hasattr(parameter, "ds_id")]
    if not in_parts:
        yield
        return
    from deepspeed import zero  # `deepspeed.zero` is no module of its own

    with zero.GatheredParameters(in_parts):
        yield
