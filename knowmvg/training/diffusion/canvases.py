"""Radiographs as a diffusion model's autoencoder reads them, kept on disk as bytes where an autoencoder is trained."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from knowmvg.grounders.canvas import frame_of, in_frame
from knowmvg.sources.manifest import StudyRow, load_study
from knowmvg.training.studies import Report

Bytes = NDArray[np.uint8]


def read_canvases(folder: Path, rows: Sequence[StudyRow], side: int, fit: str) -> Iterator[Bytes]:
    """The images of rows on squares ``[side, side]`` of bytes, one after the other, placed as the read-out does it."""
    for row in rows:
        image = load_study(folder, row).image
        canvas = in_frame(image, frame_of(image, side, fit))
        yield np.round(canvas * 255).astype(np.uint8)


def as_tensor(canvases: Bytes) -> Tensor:
    """Bytes ``[B, side, side]`` as canvases ``[B, 1, side, side]`` in ``[0, 1]``, what ``Latents.moments`` takes."""
    return torch.from_numpy(np.asarray(canvases).astype(np.float32)).unsqueeze(1) / 255


def cache_canvases(path: Path, folder: Path, rows: Sequence[StudyRow], side: int, fit: str, report: Report) -> Bytes:
    """The canvases of rows ``[N, side, side]`` at ``path`` (``.npy``), mapped from disk, filled first where missing.

    Written under another name and moved into place when whole.
    """
    listing = path.with_suffix(".json")
    if not (path.is_file() and listing.is_file()):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".partial")
        whole = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=(len(rows), side, side))
        for index, canvas in enumerate(read_canvases(folder, rows, side, fit)):
            whole[index] = canvas
            if index % 1000 == 999:
                report(f"images: {index + 1}/{len(rows)}")
        del whole  # closes the map, which writes it out
        listing.write_text(json.dumps([row.id for row in rows]) + "\n", encoding="utf-8")
        os.replace(unfinished, path)
    canvases: Bytes = np.load(path, mmap_mode="r", allow_pickle=False)
    return canvases


class CanvasBatches(Dataset[Tensor]):
    """``length`` batches of canvases drawn at random; batch ``i`` depends on the seed and ``i`` alone."""

    def __init__(self, canvases: Bytes, seed: int, length: int, batch: int) -> None:
        self.canvases, self.seed, self.length, self.batch = canvases, seed, length, batch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        chosen = np.random.default_rng([self.seed, 8, index]).integers(len(self.canvases), size=self.batch)
        return as_tensor(self.canvases[np.sort(chosen)])
