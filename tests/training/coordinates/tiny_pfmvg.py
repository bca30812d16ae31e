"""The smallest recipe of a PFMVG that runs every stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SCHEDULE = {"steps": 2, "batch": 4, "lr": 1e-3}
TINY: dict[str, Any] = {
    "system": "coordinates",
    "name": "tiny",
    "threads": 1,
    "machine": {"device": "cpu", "report_to": []},
    "data": {"studies": 24, "seed": 3, "size": 64, "splits": [0.5, 0.25, 0.25]},
    "scratch": {
        "vision": {"side": 64, "patch": 8, "cells": 2, "width": 16, "layers": 1, "schedule": SCHEDULE},
        "language": {"width": 32, "layers": 1, "vocabulary": 400, "schedule": SCHEDULE},
        "lora": {"r": 4, "alpha": 64, "dropout": 0.5},
    },
    "caption": {"epochs": 1, "batch": 4, "lr": 1e-3, "last_lr": 1e-4},
    "grounding": {"epochs": 1, "batch": 4, "lr": 1e-2, "last_lr": 1e-3, "checkpoint": 2, "validate": 3},
    "validation_studies": 3,
}


def write(folder: Path, **changes: Any) -> Path:
    """The recipe in ``folder``, whose data set is simulated beside it; ``None`` leaves a section out."""
    values = TINY | changes
    values["data"] = {"folder": str(folder / "data")} | values["data"]
    path = folder / f"{values['name']}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}))
    return path
