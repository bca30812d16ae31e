"""From a change of the anatomy to what a reader sees: the visible mask, its tight box and the zone it lies in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowmvg.core.records import Side
from knowmvg.sources.phantom.canvas import Image
from knowmvg.sources.phantom.chest import Chest
from knowmvg.sources.phantom.scene import Lesion

Mask = NDArray[np.bool_]


def largest_part(mask: Mask, gap: int = 0) -> Mask:
    """The largest part of a mask; what lies within ``gap`` pixels of each other counts as one part."""
    labels, count = ndimage.label(ndimage.maximum_filter(mask, 2 * (gap // 2) + 1) if gap > 1 else mask)
    if count < 2:
        return mask
    labels[~mask] = 0
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    result: Mask = labels == sizes.argmax()
    return result


def visible(change: Image, share: float, least: float, smooth: float, gap: int = 0) -> Mask:
    """Where a change (cm of tissue), smoothed by ``smooth`` pixels, exceeds ``share`` of its peak and ``least`` cm.

    Parts within ``gap`` pixels belong together; of several, the largest is kept.
    """
    mask = np.zeros(change.shape, np.bool_)
    if not (change > 0.05).any():
        return mask
    x1, y1, x2, y2 = (int(edge) for edge in tight_box(change > 0.05))
    pad = int(4 * smooth) + 2
    window = slice(max(y1 - pad, 0), y2 + pad), slice(max(x1 - pad, 0), x2 + pad)
    soft = ndimage.gaussian_filter(change[window], smooth) if smooth > 0 else change[window]
    peak = float(np.percentile(soft[soft > 0.05], 97)) if (soft > 0.05).any() else 0.0
    mask[window] = largest_part(soft > max(share * peak, least), gap)
    return mask


def tight_box(mask: Mask) -> tuple[float, float, float, float]:
    """The box of a non-empty mask, right and bottom exclusive, in pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def make_lesion(side: Side | None, mask: Mask, least_area: float) -> Lesion | None:
    """A lesion of a mask, or ``None`` where less than ``least_area`` (share of the image) of it can be seen."""
    if mask.mean() < least_area:
        return None
    return Lesion(side, mask, tight_box(mask))


def zone_of(chest: Chest, side: Side, mask: Mask) -> str:
    """The part of its lung that the centre of a lesion lies in, as a radiologist would name it.

    Heights are relative to the visible lung: its apex is 0, its lowest visible row 1.
    """
    rows, columns = np.nonzero(mask)
    y, x = float(rows.mean()), float(columns.mean())
    left, top, right, bottom = tight_box(chest.lung_area[side])
    height = (y - top) / (bottom - top)
    inner = (right - x if side is Side.RIGHT else x - left) / (right - left)
    if side is Side.LEFT and height > 0.45 and chest.heart_area[round(y), round(x)]:
        return "retrocardiac"
    if 0.32 < height < 0.68 and inner < 0.36:
        return "perihilar"
    edges = ((0.15, "apical"), (0.36, "upper"), (0.60, "mid"), (0.82, "lower"))
    return next((name for limit, name in edges if height < limit), "basal")
