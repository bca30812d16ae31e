"""The smallest recipe of a diffusion model that runs every stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SCHEDULE = {"steps": 2, "batch": 4, "lr": 1e-3}
TINY: dict[str, Any] = {
    "system": "diffusion",
    "name": "tiny",
    "machine": {"device": "cpu"},
    "data": {"studies": 24, "seed": 3, "size": 64, "splits": [0.5, 0.25, 0.25]},
    "scratch": {
        "side": 32,
        "text": {"width": 16, "layers": 1, "vocabulary": 300, "schedule": SCHEDULE},
        "autoencoder": {"widths": [8, 8], "channels": 2, "schedule": SCHEDULE},
        "unet": {"widths": [16, 16], "heads": 2},
    },
    "encoding": {"max_tokens": 16, "padded": False, "masked_attention": True},
    "train": {"steps": 4, "batch": 2, "lr": 1e-3, "warmup": 1, "validate": 2},
    "validation_studies": 4,
    "read": {"steps": 2, "window": [0, 2]},
}


def write(folder: Path, **changes: Any) -> Path:
    """The recipe in ``folder``, whose data set is simulated beside it."""
    values = TINY | changes
    values["data"] = {"folder": str(folder / "data")} | values["data"]
    path = folder / f"{values['name']}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}))
    return path
