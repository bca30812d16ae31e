"""The stand-in for EVA-CLIP at CPU size: a CLIP vision transformer that learns what its patches show, then is frozen.

EVA-CLIP has seen billions of images with their words. Here there are a few thousand, so it is taught by the masks of
the simulated training studies: every patch tells which findings and organs lie in each of its cells, by one linear map
of its state, and where in the image it lies. No box, no phrase and no study of another split is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from transformers import CLIPVisionConfig, CLIPVisionModel

from knowmvg.losses.grounding import mask_cross_entropy, mask_dice
from knowmvg.training.coordinates.masks import MaskedImages
from knowmvg.training.coordinates.sizes import VisionPart

WEIGHTS = {"cells": 2.0, "shown": 0.2, "dice": 1.0, "place": 1.0}
"""Weights of the loss terms."""
MEAN = DEVIATION = 0.5
"""Of grey values, as the image processor takes them off."""


def small_tower(part: VisionPart) -> CLIPVisionModel:
    """A CLIP vision transformer of a recipe's size with random weights."""
    config = CLIPVisionConfig(
        hidden_size=part.width,
        intermediate_size=4 * part.width,
        num_hidden_layers=part.layers,
        num_attention_heads=max(1, part.width // 32),
        image_size=part.side,
        patch_size=part.patch,
        projection_dim=part.width,
    )
    return CLIPVisionModel(config)


def pixels_of(canvases: NDArray[np.uint8]) -> Tensor:
    """Canvases ``[B, S, S]`` as the tower's input ``[B, 3, S, S]``: what the image processor makes of them."""
    grey = (torch.from_numpy(canvases.astype(np.float32)) / 255 - MEAN) / DEVIATION
    return grey[:, None].expand(-1, 3, -1, -1)


class ImageBatches(Dataset[NDArray[np.int64]]):
    """``length`` batches of positions among ``count`` images; each is drawn once before any is drawn again.

    Batch ``i`` depends on the seed and ``i`` alone.
    """

    def __init__(self, count: int, seed: int, length: int, batch: int) -> None:
        self.count, self.seed, self.length, self.batch = count, seed, length, batch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> NDArray[np.int64]:
        turns, places = np.divmod(np.arange(index * self.batch, (index + 1) * self.batch), self.count)
        orders = {int(turn): np.random.default_rng([self.seed, 12, int(turn)]) for turn in np.unique(turns)}
        shuffled = {turn: rng.permutation(self.count) for turn, rng in orders.items()}
        return np.array([shuffled[int(turn)][place] for turn, place in zip(turns, places, strict=True)], np.int64)


class PatchTask(nn.Module):
    """A tower with two linear maps of its patches' states: the classes of each cell ``[K * c * c]``, and the place.

    Args:
        tower: what is trained.
        images: canvases and the cells of their masks.
    """

    def __init__(self, tower: CLIPVisionModel, images: MaskedImages) -> None:
        super().__init__()
        self.tower = tower
        self.cells = nn.Linear(tower.config.hidden_size, len(images.classes) * images.cells**2)
        self.place = nn.Linear(tower.config.hidden_size, 2)
        self._images = [images]  # no part of the state

    def collate(self, batches: Sequence[NDArray[np.int64]]) -> dict[str, Tensor]:
        """Canvases ``[B, 3, S, S]`` and masks ``[B, K, G, G]`` of cells."""
        rows = np.concatenate(batches)
        (images,) = self._images
        return {"pixels": pixels_of(images.canvases(rows)), "masks": torch.from_numpy(images.masks(rows))}

    def logits(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of cells ``[B, K, G, G]``, and places ``[B, N, 2]`` in shares of the image."""
        states = self.tower(pixel_values=pixels, return_dict=True).last_hidden_state[:, 1:]
        (images,) = self._images
        batch, grid, cells = len(states), images.grid, images.cells
        told = self.cells(states).view(batch, grid, grid, len(images.classes), cells, cells)
        drawn = told.permute(0, 3, 1, 4, 2, 5).reshape(batch, len(images.classes), grid * cells, grid * cells)
        return drawn, self.place(states)

    def forward(self, pixels: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Named loss terms."""
        drawn, placed = self.logits(pixels)
        wanted = masks.float()
        present = wanted.flatten(2).amax(dim=2) > 0
        side = self._images[0].grid
        centres = (torch.arange(side, device=pixels.device) + 0.5) / side
        down, across = torch.meshgrid(centres, centres, indexing="ij")
        truth = torch.stack([across, down], dim=-1).reshape(1, -1, 2).expand_as(placed)
        return {
            "cells": mask_cross_entropy(drawn, wanted),
            "shown": _missed(drawn[present], wanted[present]),
            "dice": mask_dice(drawn[present], wanted[present]),
            "place": F.l1_loss(placed, truth),
        }


def _missed(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy of the cells ``[P, G, G]`` that show a class, masks counting alike: few show a small finding."""
    missed = (F.softplus(-drawn) * wanted).sum(dim=(1, 2)) / wanted.sum(dim=(1, 2)).clamp_min(1)
    return missed.sum() / max(1, len(missed))


@torch.inference_mode()
def state_spread(task: PatchTask, images: MaskedImages, most: int = 256) -> dict[str, Tensor]:
    """``mean`` and ``deviation`` ``[C]`` of the patches' states, by which a projection of them can begin even."""
    task.eval()
    device, rows = task.cells.weight.device, np.arange(min(most, len(images)))
    states = [
        task.tower(pixel_values=pixels_of(images.canvases(rows[start : start + 16])).to(device)).last_hidden_state[
            :, 1:
        ]
        for start in range(0, len(rows), 16)
    ]
    found = torch.cat(states).flatten(0, 1).float().cpu()
    return {"mean": found.mean(dim=0), "deviation": found.std(dim=0)}


@torch.inference_mode()
def cell_overlap(task: PatchTask, images: MaskedImages, most: int = 256) -> dict[str, float]:
    """Mean overlap (IoU) of the cells that are told with those that show a class, over the images that show it."""
    task.eval()
    device, rows = task.cells.weight.device, np.arange(min(most, len(images)))
    found: dict[str, list[float]] = {name: [] for name in images.classes}
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        drawn = task.logits(pixels_of(images.canvases(part)).to(device))[0].cpu() > 0
        wanted = torch.from_numpy(images.masks(part))
        both, either = (drawn & wanted).sum(dim=(2, 3)), (drawn | wanted).sum(dim=(2, 3))
        for image, kind in wanted.flatten(2).any(dim=2).nonzero().tolist():
            found[images.classes[kind]].append(float(both[image, kind] / either[image, kind]))
    return {name: sum(values) / len(values) for name, values in found.items() if values}
