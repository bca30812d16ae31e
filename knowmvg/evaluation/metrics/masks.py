"""How well a binary mask agrees with the reference region. Masks and regions are bool ``[H, W]`` in one frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmvg.core.boxes import as_boxes

Mask = NDArray[np.bool_]


def region_of(boxes: ArrayLike, size: tuple[int, int]) -> Mask:
    """The union of boxes ``[n, 4]`` (xyxy) as a mask ``[H, W]`` of an image of ``size`` ``(width, height)``.

    A pixel is inside when its centre is. A box that holds no pixel's centre leaves no trace.
    """
    width, height = size
    region = np.zeros((height, width), dtype=np.bool_)
    for x1, y1, x2, y2 in np.clip(np.ceil(as_boxes(boxes) - 0.5), 0, [width, height, width, height]).astype(int):
        region[y1:y2, x1:x2] = True
    return region


def mask_iou(mask: Mask, region: Mask) -> float:
    """Pixels in both over pixels in either; NaN for an empty region."""
    _expect_masks(mask, region)
    return int((mask & region).sum()) / int((mask | region).sum()) if region.any() else float("nan")


def mask_dice(mask: Mask, region: Mask) -> float:
    """Twice the pixels in both over the sum of the pixels of each; NaN for an empty region."""
    _expect_masks(mask, region)
    return 2 * int((mask & region).sum()) / int(mask.sum() + region.sum()) if region.any() else float("nan")


def miou_2cls(mask: Mask, region: Mask) -> float:
    """Mean of the IoU of the foreground and of the background; NaN where the region is empty or the whole image.

    With small regions the background's IoU is close to 1 whatever the mask: never to be mixed with ``miou_thr``.
    """
    return (mask_iou(mask, region) + mask_iou(~mask, ~region)) / 2


def _expect_masks(mask: Mask, region: Mask) -> None:
    if mask.shape != region.shape or mask.dtype != np.bool_ or region.dtype != np.bool_:
        raise ValueError(
            f"expected two bool masks of one shape, got {mask.dtype} {mask.shape} and {region.dtype} {region.shape}"
        )
