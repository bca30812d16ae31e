"""Where a small vision transformer begins: patches told by what they differ in, and places by waves.

With a few thousand images the first layer learns slowest: a patch's mean grey drowns what is small and faint in it. So
it begins as the principal components of the training images' patches, each brought to unit variance (Coates and Ng,
"Learning feature representations with k-means", 2012, on whitening), and positions as sines and cosines of row and
column (Vaswani et al. 2017, section 3.5, in two directions). All of it is trained on.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPVisionModel

PATCHES = 40_000  # whose covariance is taken, at most
FLOOR = 0.01  # of the mean variance, which every component's is raised by: noise stays small
PLACE = 0.5  # height of the waves, beside patches of variance one


@torch.no_grad()
def begin(tower: CLIPVisionModel, pixels: Tensor) -> None:
    """Put whitening filters and waves into a tower's embeddings.

    Args:
        tower: of random weights.
        pixels: grey images ``[B, 3, S, S]`` as the tower takes them.
    """
    embeddings = getattr(tower, "vision_model", tower).embeddings
    kernel = embeddings.patch_embedding.weight
    side = kernel.shape[-1]
    filters = _whitening(_patches(pixels[:, 0].numpy(), side), kernel.shape[0])
    grey = torch.from_numpy(filters).float().view(kernel.shape[0], 1, side, side)
    kernel.copy_((grey / kernel.shape[1]).expand_as(kernel))
    grid = pixels.shape[-1] // side
    positions = embeddings.position_embedding.weight
    positions[1:] = _waves(grid, positions.shape[1])


def _patches(images: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Patches ``[n, side * side]`` of images ``[B, S, S]``."""
    count, grid = len(images), images.shape[1] // side
    cut = images.reshape(count, grid, side, grid, side).transpose(0, 1, 3, 2, 4).reshape(-1, side * side)
    return cut[:: max(1, len(cut) // PATCHES)].astype(np.float64)


def _whitening(patches: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """``[count, d]``: the strongest components, scaled to unit variance; beyond ``d`` they come again, turned about."""
    values, vectors = np.linalg.eigh(np.cov(patches, rowvar=False))
    order = values.argsort()[::-1]
    scaled = vectors[:, order] / np.sqrt(values[order] + FLOOR * values.mean())
    repeats = -(-count // scaled.shape[1])
    filters: NDArray[np.float64] = np.concatenate([scaled.T * (-1) ** turn for turn in range(repeats)])[:count]
    return filters


def _waves(grid: int, width: int) -> Tensor:
    """``[grid * grid, width]``: a quarter each are sines and cosines of row and of column, from slow to fast."""
    quarter = width // 4
    rates = torch.pi * (grid / 2) ** (torch.arange(quarter) / max(1, quarter - 1))  # half a turn to a turn in 4 patches
    place = (torch.arange(grid) + 0.5) / grid
    line = torch.cat([torch.sin(place[:, None] * rates), torch.cos(place[:, None] * rates)], dim=1)
    down, across = line[:, None].expand(-1, grid, -1), line[None].expand(grid, -1, -1)
    both = PLACE * torch.cat([down, across], dim=-1).reshape(grid * grid, -1)
    return torch.nn.functional.pad(both, (0, width - both.shape[1]))
