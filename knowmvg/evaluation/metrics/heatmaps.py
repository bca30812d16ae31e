"""How well a heat map points at the reference region.

A heat map is float ``[H, W]`` in the stored image's pixels, a region bool ``[H, W]`` (``masks.region_of`` makes it from
boxes). Pixels that the model never saw (cut off before the model) are NaN and are left out of map and region alike;
``lowest_where_unseen`` counts them against the model instead. Every metric is NaN where it is undefined: no seen pixel
in the region, or, where it compares with the outside, none outside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt

from knowmvg.core.boxes import FloatArray, as_boxes
from knowmvg.evaluation.metrics.masks import Mask, region_of
from knowmvg.evaluation.metrics.ranking import area_under_roc, average_precision

MAP_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
_UNDEFINED = float("nan")


def cnr(heatmap: ArrayLike, region: Mask) -> float:
    """Contrast-to-noise ratio, signed: ``(mean in - mean out) / sqrt(var in + var out)``, population variances.

    A constant map has 0. A map that is constant inside and outside at two values has infinite contrast.
    """
    values, inside = _seen(heatmap, region)
    return contrast(values[inside], values[~inside])


def cnr_abs(heatmap: ArrayLike, region: Mask) -> float:
    """``cnr`` without its sign: a map that is dark where it should be bright scores as well as a right one."""
    return abs(cnr(heatmap, region))


def cnr_per_box(heatmap: ArrayLike, boxes: ArrayLike) -> float:
    """Mean over the seen boxes of ``[n, 4]`` of ``cnr`` between one box and what lies outside all of them."""
    array = _checked(heatmap)
    height, width = array.shape
    outside = array[~region_of(boxes, (width, height)) & ~np.isnan(array)]
    insides = [array[region_of(box, (width, height)) & ~np.isnan(array)] for box in as_boxes(boxes)]
    ratios = [contrast(inside, outside) for inside in insides if inside.size]
    return float(np.mean(ratios)) if ratios else _UNDEFINED


def contrast(inside: FloatArray, outside: FloatArray) -> float:
    """The ratio of ``cnr`` from the values inside ``[n]`` and outside ``[m]``; NaN where one is empty."""
    if inside.size == 0 or outside.size == 0:
        return _UNDEFINED
    if np.ptp(inside) == np.ptp(outside) == 0:  # rounding would give a mean and a variance that are nearly 0
        gap = float(inside[0] - outside[0])
        return float(np.copysign(np.inf, gap)) if gap else 0.0
    return float((inside.mean() - outside.mean()) / np.sqrt(inside.var() + outside.var()))


def pointing(heatmap: ArrayLike, region: Mask, *, tolerance: float = 0.0) -> float:
    """Pointing game: 1 where the map's maximum lies in the region or less than ``tolerance`` pixels from it, else 0.

    Several equal maxima count by their share of hits, so that no corner is favoured.
    """
    values, inside = _checked(heatmap), _checked_region(heatmap, region)
    if not (tolerance >= 0 and np.isfinite(tolerance)):
        raise ValueError(f"expected a tolerance of 0 pixels or more, got {tolerance}")
    if np.isnan(values).all() or not inside.any():
        return _UNDEFINED
    if tolerance > 0:
        inside = np.asarray(distance_transform_edt(~inside)) < tolerance
    return float(inside[values == np.nanmax(values)].mean())


def energy_pointing(heatmap: ArrayLike, region: Mask) -> float:
    """Share of the map's sum that lies in the region; a map of zeros has 0. Raises ``ValueError`` below 0."""
    values, inside = _seen(heatmap, region)
    if (values < 0).any():
        raise ValueError(f"expected a map of 0 or more, got {values.min():g}; clip it or shift it first")
    if not inside.any():
        return _UNDEFINED
    total = values.sum()
    return float(values[inside].sum() / total) if total > 0 else 0.0


def auroc(heatmap: ArrayLike, region: Mask) -> float:
    """Area under the ROC curve over pixels; a constant map has 0.5."""
    return area_under_roc(*_seen(heatmap, region))


def auprc(heatmap: ArrayLike, region: Mask) -> float:
    """Average precision over pixels; a constant map has the region's share of the image."""
    values, inside = _seen(heatmap, region)
    return average_precision(values, inside) if not inside.all() else _UNDEFINED


def miou_thr(heatmap: ArrayLike, region: Mask, thresholds: Sequence[float] = MAP_THRESHOLDS) -> float:
    """Mean over thresholds of the IoU of ``heatmap > threshold`` and the region. Raises ``ValueError`` above 1.

    The thresholds are absolute: the map is one of cosines or probabilities, not one stretched to its own range.
    """
    values, inside = _seen(heatmap, region)
    if values.size and values.max() > 1 + 1e-6:
        raise ValueError(f"expected a map of 1 or less, got {values.max():g}")
    if not inside.any():
        return _UNDEFINED
    bright = values > np.asarray(thresholds, dtype=np.float64)[:, None]
    return float(((bright & inside).sum(axis=1) / (bright | inside).sum(axis=1)).mean())


def seen_share(heatmap: ArrayLike, region: Mask) -> float:
    """Share of the region's pixels that the map covers; NaN for an empty region."""
    values, inside = _checked(heatmap), _checked_region(heatmap, region)
    return float((~np.isnan(values[inside])).mean()) if inside.any() else _UNDEFINED


def lowest_where_unseen(heatmap: ArrayLike) -> FloatArray:
    """The map with its least value where it is NaN; a map without a seen pixel becomes zeros."""
    array = _checked(heatmap)
    unseen = np.isnan(array)
    return np.where(unseen, 0.0 if unseen.all() else np.nanmin(array), array)


def _seen(heatmap: ArrayLike, region: Mask) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Values of the pixels that are not NaN, ``[n]``, and which of them lie in the region."""
    values, inside = _checked(heatmap), _checked_region(heatmap, region)
    known = ~np.isnan(values)
    return values[known], inside[known]


def _checked(heatmap: ArrayLike) -> FloatArray:
    array = np.asarray(heatmap, dtype=np.float64)
    if array.ndim != 2 or array.size == 0 or np.isinf(array).any():
        raise ValueError(f"expected a map [H, W] of finite numbers or NaN, got {array.shape} or an infinity")
    return array


def _checked_region(heatmap: ArrayLike, region: Mask) -> Mask:
    if region.dtype != np.bool_ or region.shape != np.shape(heatmap):
        raise ValueError(f"expected a bool region of shape {np.shape(heatmap)}, got {region.dtype} {region.shape}")
    return region
