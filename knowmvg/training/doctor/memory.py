"""How much memory work takes at its highest: counted tensor by tensor on the CPU, asked of the allocator on a GPU."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
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


@dataclass(frozen=True, slots=True)
class BatchSize:
    """What the memory of a batch goes by: padded tokens, those of texts without an image included, and boxes."""

    tokens: int
    boxes: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes of a forward and backward pass as ``fixed + per_token * tokens + per_box * boxes``, none below zero."""

    fixed: float
    per_token: float
    per_box: float

    @classmethod
    def fitted(cls, sizes: Sequence[BatchSize], taken: Sequence[int]) -> Growth:
        """The least-squares growth through measurements of small batches."""
        from scipy.optimize import nnls

        rows = np.array([[1.0, size.tokens, size.boxes] for size in sizes])
        scale = rows.max(axis=0).clip(1)
        found, _ = nnls(rows / scale, np.array(taken, dtype=float))
        return cls(*(float(value) for value in found / scale))

    def of(self, size: BatchSize) -> int:
        """Bytes for a batch."""
        return round(self.fixed + self.per_token * size.tokens + self.per_box * size.boxes)
