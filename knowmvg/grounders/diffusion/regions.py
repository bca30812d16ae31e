"""From a map to boxes with scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from knowmvg.core.boxes import FloatArray
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.grounders.diffusion.thresholds import threshold

Mask = NDArray[np.bool_]

FLAT = "The model's map of this phrase is flat: it points nowhere."
NOTHING = "Nothing of the model's map of this phrase stands out."
_NEIGHBOURS = np.ones((3, 3), dtype=int)
_MAJORITY = 0.5


@dataclass(frozen=True, slots=True)
class Boxed:
    """Boxes ``[n, 4]`` xyxy in cells of the map, best first, with scores ``[n]``; without boxes, why."""

    boxes: FloatArray
    scores: FloatArray
    reason: str | None = None


def boxes_of(heat: FloatArray, seen: Mask, side: int, settings: ReadSettings, wanted: int | None = None) -> Boxed:
    """The boxes of a map.

    A score is the mean of the map inside its box: what fills its box at full height has 1. It orders boxes and is not
    calibrated.

    Args:
        heat: ``[S, S]`` in ``[0, 1]``.
        seen: cells that show the image.
        side: of the canvas in pixels, at which regions are cut out of the interpolated map.
        settings: threshold and regions.
        wanted: a number of boxes, each around one component; fewer where there are no more.
    """
    level = threshold(heat[seen], settings)
    if level is None:
        return Boxed(np.zeros((0, 4)), np.zeros(0), FLAT)
    if settings.legacy:
        mask, fine = _as_the_reference(heat > level, side), enlarged(heat, side)
    else:
        fine = enlarged(heat, side)
        mask = fine > level
    mask &= enlarged(seen.astype(np.float64), side) > _MAJORITY
    parts = _regions(mask, fine, settings.regions if wanted is None or wanted == 1 else "each")
    if not parts:
        return Boxed(np.zeros((0, 4)), np.zeros(0), NOTHING)
    last = 0 if settings.legacy else 1  # the reference's slices leave out the last row and column
    boxes = np.array([[c.start, r.start, c.stop - 1 + last, r.stop - 1 + last] for r, c in parts], dtype=np.float64)
    scores = np.array([float(np.clip(fine[part].mean(), 0, 1)) for part in parts])
    order = np.argsort(-scores, kind="stable")[: wanted or settings.max_boxes]
    return Boxed(boxes[order] * (len(heat) / side), scores[order])


def enlarged(values: FloatArray, side: int) -> FloatArray:
    """A map interpolated between its cells to ``[side, side]``."""
    made = functional.interpolate(torch.from_numpy(values)[None, None], (side, side), mode="bilinear")
    return np.asarray(made[0, 0].numpy(), dtype=np.float64)


def without_specks(mask: Mask) -> Mask:
    """The reference's filter: cells off the border stay where at least half of the 3 x 3 around them is foreground."""
    share = ndimage.uniform_filter(mask.astype(np.float64), 3)
    kept = mask.copy()
    inner = (slice(1, -1), slice(1, -1))
    kept[inner] &= share[inner] >= _MAJORITY
    return kept


def _as_the_reference(mask: Mask, side: int) -> Mask:
    return np.asarray(np.round(enlarged(without_specks(mask).astype(np.float64), side)) > 0)


def _regions(mask: Mask, fine: FloatArray, regions: str) -> list[tuple[slice, slice]]:
    """Slices of the regions; components are those of eight neighbours, the heaviest first."""
    if not mask.any():
        return []
    if regions == "all":
        return [ndimage.find_objects(mask.astype(int))[0]]
    labels, count = ndimage.label(mask, structure=_NEIGHBOURS)
    mass = ndimage.sum_labels(fine, labels, np.arange(1, count + 1))
    slices = ndimage.find_objects(labels)
    order = np.argsort(-np.asarray(mass), kind="stable")
    return [slices[k] for k in order[: 1 if regions == "largest" else None]]
