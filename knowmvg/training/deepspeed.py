"""DeepSpeed by recipe: a configuration that ships (recipes/deepspeed) or one of your own, read before anything runs."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from knowmvg.core.errors import RecipeError

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


def checked(path: Path) -> dict[str, Any]:
    """A configuration for a run. Raises ``RecipeError`` as ``read_config`` does, and where DeepSpeed is missing."""
    config = read_config(path)
    if find_spec("deepspeed") is None:
        raise RecipeError("DeepSpeed", "none installed", "Install it: pip install 'knowmvg[deepspeed]'.")
    return config
