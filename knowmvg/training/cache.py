"""What is frozen is computed once: image features of a data set on disk, in half precision."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from knowmvg.grounders.canvas import on_canvas
from knowmvg.sources.manifest import StudyRow, load_study

Features = NDArray[np.float16]


class FeatureCache:
    """Features ``[N, d, g, g]`` of studies by id, mapped from disk.

    Written under another name and moved into place when whole, so that a killed run leaves no half cache.
    """

    def __init__(self, path: Path) -> None:
        self.features: Features = np.load(path, mmap_mode="r", allow_pickle=False)
        ids = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        self.index = {name: position for position, name in enumerate(ids)}

    def __call__(self, ids: Sequence[str]) -> Tensor:
        """Features ``[B, d, g, g]`` float32 of studies."""
        rows = np.stack([self.features[self.index[name]] for name in ids])
        return torch.from_numpy(rows.astype(np.float32))


@torch.inference_mode()
def cache_features(
    path: Path,
    folder: Path,
    rows: Sequence[StudyRow],
    encoder: nn.Module,
    side: int,
    report: Callable[[str], None],
    batch: int = 32,
) -> FeatureCache:
    """The cache at ``path`` (``.npy``), filled first where it is missing."""
    listing = path.with_suffix(".json")
    if path.is_file() and listing.is_file():
        return FeatureCache(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder.eval()
    unfinished = path.with_suffix(".partial")
    whole: Features | None = None
    for start in range(0, len(rows), batch):
        canvases = [on_canvas(load_study(folder, row).image, side)[0] for row in rows[start : start + batch]]
        features = encoder(torch.from_numpy(np.stack(canvases)).unsqueeze(1)).numpy().astype(np.float16)
        if whole is None:
            shape = (len(rows), *features.shape[1:])
            whole = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float16, shape=shape)
            report(f"features: {whole.nbytes / 2**20:.0f} MiB for {len(rows)} images in {path.parent}")
        whole[start : start + len(features)] = features
        if start // batch % 32 == 31:
            report(f"features: {start + batch}/{len(rows)}")
    if whole is None:
        raise ValueError("expected at least one study, got none")
    del whole  # closes the map, which writes it out
    listing.write_text(json.dumps([row.id for row in rows]) + "\n", encoding="utf-8")
    os.replace(unfinished, path)
    return FeatureCache(path)
