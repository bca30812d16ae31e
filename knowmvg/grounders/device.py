"""Where a model runs: on the device that somebody named, if it is there, or on the best one."""

from __future__ import annotations

import torch

from knowmvg.core.errors import ModelError


def device_or_best(device: str | None) -> str:
    """The device in the words of torch that was asked for, or else a GPU where torch sees one.

    Raises ``ModelError`` for a device that torch does not know or this machine does not have.
    """
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # an assertion where torch is built without it
        todo = "Name cpu, or cuda (cuda:1) where torch sees a GPU, or leave it out for the best there is."
        raise ModelError("a device that torch can use here", repr(device), todo) from error
    return device
