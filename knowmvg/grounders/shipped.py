"""The small models that come with the package, by their names: they stand wherever a model folder does.

All of them were trained on simulated radiographs only (the card beside each says how); the first is the one that is
taken where none is named.
"""

from __future__ import annotations

from pathlib import Path

import knowmvg

MODELS = Path(knowmvg.__file__).parent / "models"
DEMO_MODEL = MODELS / "demo"


def shipped_model(model: str | Path) -> Path | None:
    """The folder of the shipped model that ``model`` names; ``None`` for a path that exists here and any other."""
    if Path(model).exists():
        return None
    found = MODELS / model
    return found if found.parent == MODELS and (found / "config.json").is_file() else None


def shipped_names() -> list[str]:
    """The names of the shipped models, in order."""
    return sorted(config.parent.name for config in MODELS.glob("*/config.json"))
