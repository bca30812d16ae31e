"""Which names have come already, in 8 bytes each."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_RECENT = 16_384


class Names:
    """A set of names that only grows, kept as 64-bit hashes: 400,000 names take 3 MB.

    Two different names have the same hash with a probability of 4e-9 among 400,000.
    """

    def __init__(self) -> None:
        self._sorted: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self._recent: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def add(self, *name: str) -> bool:
        """Whether the name, of one part or several, is new; it is known from now on."""
        key = int.from_bytes(blake2b("\0".join(name).encode(errors="surrogatepass"), digest_size=8).digest(), "little")
        if key in self._recent or self._holds(key):
            return False
        self._recent.add(key)
        if len(self._recent) >= _RECENT:
            recent = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
            self._sorted = np.sort(np.concatenate([self._sorted, recent]))
            self._recent.clear()
        return True

    def _holds(self, key: int) -> bool:
        place = int(np.searchsorted(self._sorted, np.uint64(key)))
        return place < len(self._sorted) and int(self._sorted[place]) == key
