"""Memory: what is free, and what work takes at its highest.

The latter is counted tensor by tensor on the CPU, and asked of the allocator on a GPU.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is entered and not yet freed.

    Storages that were there before, and room that a kernel takes for itself, do not count. It counts on the meta device
    too, where nothing is allocated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now: int = 0
        self.highest: int = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {leaf.untyped_storage()._cdata for leaf in _tensors((args, kwargs))}
        made = function(*args, **(kwargs or {}))
        for leaf in _tensors(made):
            storage = leaf.untyped_storage()
            if storage._cdata in before or storage._cdata in self._known:
                continue
            self._known.add(storage._cdata)
            self.now += storage.nbytes()
            weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        self.highest = max(self.highest, self.now)
        return made

    def _freed(self, storage: int, size: int) -> None:
        self._known.discard(storage)
        self.now -= size


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def highest_memory(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that ``work`` takes at its highest, beyond what there was before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device)) - before
    with LiveMemory() as live:
        work()
    highest: int = live.highest
    return highest


def free_memory(device: torch.device) -> int:
    """Bytes that work can have: of the GPU, what torch holds and does not use included, or of the machine."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept
