"""All heat-map metrics of one phrase, and what a missing map scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.metrics.heatmaps import (
    auprc,
    auroc,
    cnr,
    cnr_abs,
    cnr_per_box,
    energy_pointing,
    miou_thr,
    pointing,
    seen_share,
)
from knowmvg.evaluation.metrics.masks import region_of

POINTING_TOLERANCE = 15.0  # pixels, Zhang et al. 2018

HEATMAP_METRICS = (
    "cnr",
    "cnr_abs",
    "cnr_per_box",
    "pointing",
    "pointing@15px",
    "energy_pointing",
    "auroc",
    "auprc",
    "miou_thr",
)


def heatmap_scores(heatmap: FloatArray | None, boxes: ArrayLike, size: tuple[int, int]) -> dict[str, float]:
    """The metrics of ``HEATMAP_METRICS`` by name, with ``map_valid`` (1 or 0) and ``seen_share``.

    Args:
        heatmap: ``[H, W]`` in stored pixels and ``[0, 1]``; NaN where the model did not see. ``None``, or all NaN: the
            model gave no map, which scores 0 everywhere.
        boxes: the phrase's reference boxes ``[n, 4]``, stored pixels.
        size: ``(width, height)`` of the stored image.

    Raises:
        ValueError: a map of another size, outside ``[0, 1]``, or infinite.
    """
    region = region_of(boxes, size)
    if heatmap is None or (np.size(heatmap) and np.isnan(heatmap).all()):
        return dict.fromkeys((*HEATMAP_METRICS, "map_valid", "seen_share"), 0.0)
    return {
        "cnr": cnr(heatmap, region),
        "cnr_abs": cnr_abs(heatmap, region),
        "cnr_per_box": cnr_per_box(heatmap, boxes),
        "pointing": pointing(heatmap, region),
        "pointing@15px": pointing(heatmap, region, tolerance=POINTING_TOLERANCE),
        "energy_pointing": energy_pointing(heatmap, region),
        "auroc": auroc(heatmap, region),
        "auprc": auprc(heatmap, region),
        "miou_thr": miou_thr(heatmap, region),
        "map_valid": 1.0,
        "seen_share": seen_share(heatmap, region),
    }
