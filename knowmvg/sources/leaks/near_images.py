"""Images that look alike: the same radiograph at another size, in another format or with another window.

A difference hash (N. Krawetz, "Kind of like that", hackerfactor.com, 2013, there 64 bits of one direction): the image
is made 17 x 16 and 16 x 17 cells, and each of the 512 bits says whether a cell is brighter than its left or upper
neighbour. Radiographs resemble each other, so that fewer bits do not tell patients apart: among simulated studies the
nearest of 2,500 other patients' images differs from a held-out one in 49 bits or more (half of them in 85 or more),
copies at half size, as JPEG of quality 40 or with another gamma in at most 26, copies with a narrow window or a cut
border in up to 64. The last two are therefore found in part only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from knowmvg.core.errors import ImageError, ManifestError
from knowmvg.sources.image import read_radiograph

SIDE = 16
WORDS = 2 * SIDE * SIDE // 64
MAX_DISTANCE = 32
"""Bits of 512 in which two copies of one radiograph may differ."""
_STEP = 0.004
"""By how much of the image's range a cell must be brighter; less is noise of black borders."""
_CHUNK = 2048

Hashes = NDArray[np.uint64]


def difference_hash(path: Path) -> Hashes:
    """The hash of an image file, 512 bits as uint64 ``[8]``. Raises ``ManifestError`` for a file that is no image."""
    grey = _grey(path)
    bits = [_brighter(grey, (SIDE + 1, SIDE), axis=1), _brighter(grey, (SIDE, SIDE + 1), axis=0)]
    return np.packbits(np.concatenate(bits)).view(np.uint64)


def _brighter(grey: Image.Image, size: tuple[int, int], axis: int) -> NDArray[np.bool_]:
    cells = np.asarray(grey.resize(size, Image.Resampling.BOX), dtype=np.float64)
    brighter: NDArray[np.bool_] = np.diff(cells, axis=axis) > _STEP * float(np.ptp(cells))
    return brighter.ravel()


def near_pairs(one: Hashes, other: Hashes, most: int = MAX_DISTANCE) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices into ``one`` ``[n, 8]`` and ``other`` ``[m, 8]`` of all pairs that differ in at most ``most`` bits."""
    left: list[NDArray[np.intp]] = [np.empty(0, dtype=np.intp)]
    right: list[NDArray[np.intp]] = [np.empty(0, dtype=np.intp)]
    for start in range(0, len(one), _CHUNK):
        part = one[start : start + _CHUNK]
        distance = np.zeros((len(part), len(other)), dtype=np.uint16)
        for word in range(part.shape[1]):
            distance += np.bitwise_count(part[:, word, None] ^ other[None, :, word])
        rows, columns = np.nonzero(distance <= most)
        left.append(rows + start)
        right.append(columns)
    return np.concatenate(left), np.concatenate(right)


def stacked(hashes: Sequence[Hashes]) -> Hashes:
    """Hashes in one array ``[n, 8]``."""
    return np.stack(hashes) if hashes else np.empty((0, WORDS), dtype=np.uint64)


def _grey(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.draft("L", (4 * SIDE, 4 * SIDE))  # JPEG alone: decoded small, many times faster
            return image.convert("I" if image.mode.startswith("I") else "L").convert("F")
    except UnidentifiedImageError:
        pass
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _refused(path, type(error).__name__) from error
    try:
        return Image.fromarray(read_radiograph(path).pixels)
    except ImageError as error:
        raise _refused(path, error.got) from error


def _refused(path: Path, got: str) -> ManifestError:
    return ManifestError(f"an image at {path}", got, "Restore it, or leave the check for near images out.")
