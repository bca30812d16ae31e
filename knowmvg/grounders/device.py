"""Where a model runs that nobody said a place for."""

from __future__ import annotations

import torch


def device_or_best(device: str | None) -> str:
    """The device in the words of torch that was asked for, or else a GPU where torch sees one."""
    return device or ("cuda" if torch.cuda.is_available() else "cpu")
