"""Accuracy at an IoU threshold, and the names that papers give it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmvg.core.boxes import FloatArray

THRESHOLDS = (0.1, 0.3, 0.5)
THRESHOLD_NAMES = tuple(f"{t:g}" for t in THRESHOLDS)

PAPER_NAMES = {"AP10": "acc@0.1", "AP30": "acc@0.3", "AP50": "acc@0.5"}
"""What the papers of this lineage print, and what it is."""

PAPER_NOTE = (
    "acc@t is the share of phrases with IoU of t or more. The papers print it as AP10, AP30 and AP50; it is an "
    "accuracy, not an average precision, which is coco_ap."
)


def canonical_name(name: str) -> str:
    """A metric's name in docs/metrics.md, also for a paper's ``AP50``."""
    return PAPER_NAMES.get(name, name)


def hits_at(ious: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Which values ``[n]`` reach the threshold: ``>=``, as the lineage counts. Raises ``ValueError`` outside (0, 1]."""
    checked_threshold(threshold)
    return np.asarray(checked_ious(ious) >= threshold, dtype=np.bool_)


def acc_at(ious: ArrayLike, threshold: float) -> float:
    """Share of phrases with IoU of ``threshold`` or more; NaN without a phrase."""
    hits = hits_at(ious, threshold)
    return float(hits.mean()) if hits.size else float("nan")


def miou_box(ious: ArrayLike) -> float:
    """Mean IoU over phrases; NaN without a phrase."""
    array = checked_ious(ious)
    return float(array.mean()) if array.size else float("nan")


def checked_ious(ious: ArrayLike) -> FloatArray:
    """IoU values as floats ``[n]``. Raises ``ValueError`` for a value outside ``[0, 1]`` or NaN."""
    array = np.asarray(ious, dtype=np.float64).reshape(-1)
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError("expected IoU in [0, 1], got a value outside or NaN; an unusable box scores 0")
    return array


def checked_threshold(threshold: float) -> float:
    """The threshold. Raises ``ValueError`` outside ``(0, 1]``: at 0 even a missing box would be a hit."""
    if not 0 < threshold <= 1:
        raise ValueError(f"expected an IoU threshold in (0, 1], got {threshold}")
    return threshold
