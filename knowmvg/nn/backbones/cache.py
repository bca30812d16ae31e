"""Keys and values of what was read, in buffers with room: a further token is written in place, nothing is copied."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

ROOM = 64  # tokens that a buffer is made longer than it has to be


class RoomyLayer(DynamicLayer):
    """A layer of ``DynamicCache`` whose keys and values ``[B, H, T, D]`` are the beginning of longer buffers.

    The published layer concatenates at every step, which copies the whole prefix for every row and every token.
    """

    keys: Tensor
    values: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._buffers: dict[str, Tensor] = {}

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """All keys and values, with the new ones ``[B, H, t, D]`` at the end."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys = self._longer("keys", self.keys, key_states)
        self.values = self._longer("values", self.values, value_states)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows ``[R]``, a row as often as it is named; they are copied once, into buffers with room."""
        if self.is_initialized and self.keys.numel():
            rows = indices.tolist()
            self.keys = self._rows("keys", self.keys, rows)
            self.values = self._rows("values", self.values, rows)

    def _rows(self, name: str, present: Tensor, rows: list[int]) -> Tensor:
        buffer, length = self._roomy(name, present, len(rows), present.shape[-2]), present.shape[-2]
        for place, row in enumerate(rows):
            buffer[place, :, :length] = present[row]
        return buffer[..., :length, :]

    def _longer(self, name: str, present: Tensor, new: Tensor) -> Tensor:
        if not present.numel():
            return new
        length, whole = present.shape[-2], present.shape[-2] + new.shape[-2]
        buffer = self._buffers.get(name)
        fits = buffer is not None and buffer.data_ptr() == present.data_ptr() and buffer.shape[-2] >= whole
        if buffer is None or not fits or buffer.shape[0] != present.shape[0]:
            buffer = self._roomy(name, new, len(new), whole)
            buffer[..., :length, :] = present
        buffer[..., length:whole, :] = new
        return buffer[..., :whole, :]

    def _roomy(self, name: str, like: Tensor, rows: int, length: int) -> Tensor:
        """A new buffer ``[rows, H, length + ROOM, D]``, kept under its name."""
        self._buffers[name] = like.new_empty((rows, like.shape[1], length + ROOM, like.shape[-1]))
        return self._buffers[name]


def roomy_cache(config: Any) -> DynamicCache:
    """An empty cache for a text model's configuration; layers that see a window of columns are the published ones."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
