"""Numbers as other people's scripts compute them, to reproduce what they print and for nothing else.

Each is named after its origin. docs/metrics.md says what is wrong with it and which metric to use instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from knowmvg.core.boxes import FloatArray, as_boxes
from knowmvg.evaluation.metrics.accuracy import checked_ious
from knowmvg.evaluation.metrics.aggregation import weighted_mean
from knowmvg.evaluation.metrics.box_sets import BoxSets
from knowmvg.evaluation.metrics.masks import Mask, region_of

_VILOURAS_STEPS = (1.0, 0.75, 0.5, 0.25, 0.0)


def g2g_weighted_average(means: ArrayLike, counts: ArrayLike) -> float:
    """Generate to Ground's "Weighted_Average": weights are the squares of the class counts."""
    return weighted_mean(means, counts, power=2)


def umedground_first_box_ious(predicted: BoxSets, reference: BoxSets) -> FloatArray:
    """UMedGround's validation: IoU of the first predicted and the first reference box alone, ``[n]``.

    The script ends with an error where there is no predicted box; here such a phrase has NaN, and the script's means
    are those over the rest. Raises ``ValueError`` where a phrase has no reference box or the numbers differ.
    """
    if len(predicted) != len(reference) or (reference.counts == 0).any():
        raise ValueError("expected as many phrases on both sides, each with a reference box, got others")
    ious: FloatArray = np.full(len(reference), np.nan)
    some = predicted.counts > 0
    first = predicted.boxes[predicted.starts[some]]
    ious[some] = _ious(first, reference.boxes[reference.starts[some]], pixel=0.0)
    return ious


def minigptv2_ious(predicted: ArrayLike, reference: ArrayLike) -> FloatArray:
    """MiniGPT-v2's IoU of boxes ``[n, 4]`` one by one: edges count as pixels, one is added to each side."""
    first, second = as_boxes(predicted), as_boxes(reference)
    if len(first) != len(second):
        raise ValueError(f"expected as many boxes on both sides, got {len(first)} and {len(second)}")
    return _ious(first, second, pixel=1.0)


def refcoco_strict_acc(ious: ArrayLike, threshold: float = 0.5) -> float:
    """Share of phrases with IoU above the threshold: MiniGPT-v2 counts ``>``, ``acc@t`` counts ``>=``."""
    array = checked_ious(ious)
    return float((array > threshold).mean()) if array.size else float("nan")


def vilouras_cnr(heatmap: ArrayLike, boxes: ArrayLike, *, signed: bool = False) -> float:
    """CNR of ldm-phrase-grounding: mean over boxes, absolute by default, undefined ones as 0.

    Each box is cut out of the map before the next one is scored, so that the result depends on the boxes' order.
    """
    left = np.array(heatmap, dtype=np.float64)
    height, width = left.shape
    ratios = []
    for box in as_boxes(boxes):
        region = region_of(box, (width, height))
        inside, outside = left[region & ~np.isnan(left)], left[~region & ~np.isnan(left)]
        left[region] = np.nan
        noise = np.sqrt(inside.var() + outside.var()) if inside.size and outside.size else 0.0
        gap = inside.mean() - outside.mean() if noise > 0 else 0.0
        ratios.append((gap if signed else abs(gap)) / noise if noise > 0 else 0.0)
    return float(np.mean(ratios)) if ratios else float("nan")


def vilouras_auroc(heatmap: ArrayLike, region: Mask) -> float:
    """AUROC of ldm-phrase-grounding: torcheval's binned curve with the thresholds 0, 0.25, 0.5, 0.75 and 1 alone."""
    values, inside = np.asarray(heatmap, dtype=np.float64), np.asarray(region, dtype=np.bool_)
    bright = [values >= step for step in _VILOURAS_STEPS]
    hits = np.array([0, *((above & inside).sum() for above in bright)], dtype=np.float64)
    misses = np.array([0, *((above & ~inside).sum() for above in bright)], dtype=np.float64)
    whole = hits[-1] * misses[-1]
    return float(np.trapezoid(hits, misses) / whole) if whole > 0 else 0.5


def _ious(first: FloatArray, second: FloatArray, pixel: float) -> FloatArray:
    size = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2]) + pixel
    shared = np.clip(size, 0, None).prod(axis=1)
    areas = [(boxes[:, 2:] - boxes[:, :2] + pixel).prod(axis=1) for boxes in (first, second)]
    return np.asarray(shared / (areas[0] + areas[1] - shared + 1e-16), dtype=np.float64)
