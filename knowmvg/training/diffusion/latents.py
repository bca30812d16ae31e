"""Latents of a data set on disk: mean and deviation of the autoencoder's posterior, sampled anew in every step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowmvg.nn.diffusion.latents import Latents
from knowmvg.training.diffusion.canvases import Bytes, as_tensor
from knowmvg.training.studies import Report

Posteriors = NDArray[np.float16]


class LatentCache:
    """Posteriors ``[N, 2, C, h, w]`` (mean, deviation) of studies by id, in half precision, mapped from disk."""

    def __init__(self, path: Path) -> None:
        self.posteriors: Posteriors = np.load(path, mmap_mode="r", allow_pickle=False)
        ids = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        self.index = {name: position for position, name in enumerate(ids)}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a latent."""
        _, _, channels, height, width = self.posteriors.shape
        return channels, height, width

    def sample(self, ids: Sequence[str], generator: torch.Generator) -> Tensor:
        """Latents ``[B, C, h, w]`` float32 drawn from the posteriors of studies."""
        rows = np.stack([self.posteriors[self.index[name]] for name in ids])
        mean, deviation = torch.from_numpy(rows.astype(np.float32)).unbind(dim=1)
        return mean + deviation * torch.randn(mean.shape, generator=generator)


@torch.inference_mode()
def cache_latents(
    path: Path,
    ids: Sequence[str],
    canvases: Callable[[], Iterable[Bytes]],
    latents: Latents,
    device: torch.device,
    report: Report,
    batch: int = 16,
) -> LatentCache:
    """The cache at ``path`` (``.npy``), filled first where it is missing; moved into place when whole.

    Args:
        path: the file.
        ids: the studies.
        canvases: gives their images ``[side, side]`` in the same order; not called where the cache is there.
        latents: what makes latents of canvases.
        device: where it computes.
        report: takes a line of progress.
        batch: images at a time.
    """
    listing = path.with_suffix(".json")
    if path.is_file() and listing.is_file():
        return LatentCache(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    latents = latents.to(device)
    unfinished = path.with_suffix(".partial")
    whole: Posteriors | None = None
    images = iter(canvases())
    for start in range(0, len(ids), batch):
        count = min(batch, len(ids) - start)
        part = np.stack([next(images) for _ in range(count)])
        both = torch.stack(latents.moments(as_tensor(part).to(device)), dim=1).float().cpu().numpy()
        if whole is None:
            shape = (len(ids), *both.shape[1:])
            whole = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float16, shape=shape)
            report(f"latents: {whole.nbytes / 2**20:.0f} MiB for {len(ids)} images in {path.parent}")
        whole[start : start + count] = both.astype(np.float16)
        if start // batch % 100 == 99:
            report(f"latents: {start + count}/{len(ids)}")
    if whole is None:
        raise ValueError("expected at least one study, got none")
    del whole  # closes the map, which writes it out
    listing.write_text(json.dumps(list(ids)) + "\n", encoding="utf-8")
    os.replace(unfinished, path)
    return LatentCache(path)
