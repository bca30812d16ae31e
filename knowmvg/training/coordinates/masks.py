"""Canvases and masks of studies on disk for the time in which the small vision encoder learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.boxtext.views import Fit
from knowmvg.core.errors import ManifestError
from knowmvg.grounders.canvas import on_canvas
from knowmvg.sources.manifest import StudyRow, load_study, read_masks
from knowmvg.training.coordinates.sizes import VisionPart
from knowmvg.training.prompted.segmenter import structures
from knowmvg.training.studies import Report


class MaskedImages:
    """Images ``[S, S]`` of studies and, by class, the cells that their masks cover.

    Args:
        folder: with ``canvases.npy`` and ``masks.npy`` (``keep``).
        classes: names of the classes.
        part: side of canvas and patch, cells to a patch.
        rows: which of the images, all without.
    """

    def __init__(self, folder: Path, classes: Sequence[str], part: VisionPart, rows: slice = slice(None)) -> None:
        self.classes, self.grid, self.cells = tuple(classes), part.grid, part.cells
        self._canvases = np.load(folder / "canvases.npy", mmap_mode="r", allow_pickle=False)[rows]
        self._masks = np.load(folder / "masks.npy", mmap_mode="r", allow_pickle=False)[rows]

    def __len__(self) -> int:
        return len(self._canvases)

    def canvases(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Grey values ``[B, S, S]``."""
        return np.asarray(self._canvases[rows])

    def masks(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a class covers half of a cell or more: ``[B, K, G, G]``."""
        side = self.grid * self.cells
        bits = np.unpackbits(self._masks[rows], axis=1, count=len(self.classes) * side**2)
        return bits.reshape(len(rows), len(self.classes), side, side).astype(bool)


def classes_of(rows: Sequence[StudyRow]) -> list[str]:
    """The organs and findings that have masks. Raises ``ManifestError`` where none has."""
    found = {name for row in rows if row.masks is not None for name, _ in structures(row)}
    if not found:
        todo = "Name a simulated data set as data.masked (knowmvg phantom)."
        raise ManifestError("training studies with masks, for the small vision encoder", "none", todo)
    return sorted(found)


def keep(
    place: Path,
    folder: Path,
    rows: Sequence[StudyRow],
    classes: Sequence[str],
    part: VisionPart,
    fit: Fit,
    report: Report,
) -> None:
    """Write ``canvases.npy`` ``[N, S, S]`` and ``masks.npy`` ``[N, bits]`` of rows to ``place``, unless they are there.

    Each appears when it is whole, the masks last.
    """
    if (place / "masks.npy").is_file():
        return
    side = part.grid * part.cells
    canvases = np.lib.format.open_memmap(
        place / "canvases.partial", mode="w+", dtype=np.uint8, shape=(len(rows), part.side, part.side)
    )
    shape = (len(rows), -(-len(classes) * side**2 // 8))
    masks = np.lib.format.open_memmap(place / "masks.partial", mode="w+", dtype=np.uint8, shape=shape)
    report(f"vision: {(canvases.nbytes + masks.nbytes) / 2**20:.0f} MiB for {len(rows)} images, while it learns")
    for index, row in enumerate(rows):
        canvas, frame = on_canvas(load_study(folder, row).image, part.side, fit)
        canvases[index] = np.round(canvas * 255)
        planes = read_masks(folder, row)
        assert planes is not None  # of rows with masks
        covered = np.zeros((len(classes), side, side), dtype=bool)
        for name, bit in structures(row):
            mask = frame.render(((planes >> bit) & 1).astype(np.float32))
            cells = mask.reshape(side, part.side // side, side, part.side // side).mean(axis=(1, 3))
            covered[classes.index(name)] |= cells >= 0.5
        masks[index] = np.packbits(covered)
        if index % 2000 == 1999:
            report(f"vision: images {index + 1}/{len(rows)}")
    del canvases, masks  # closes the maps, which writes them out
    for name in ("canvases", "masks"):
        (place / f"{name}.partial").replace(place / f"{name}.npy")
