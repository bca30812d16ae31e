"""Boxes counted as found or not: matched F1 at an IoU threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from knowmvg.core.boxes import FloatArray, broadcast_iou
from knowmvg.evaluation.metrics.accuracy import checked_threshold
from knowmvg.evaluation.metrics.assignment import IntArray, matched
from knowmvg.evaluation.metrics.box_sets import BoxSets, score_sets


def found_boxes(predicted: BoxSets, reference: BoxSets, threshold: float) -> IntArray:
    """For each phrase ``[n]`` the greatest number of one-to-one pairs with IoU of ``threshold`` or more.

    The Hungarian matching runs on the hits, not on the IoU: the pairs of the greatest total IoU may have fewer hits.
    Raises ``ValueError`` for a threshold outside ``(0, 1]``.
    """
    checked_threshold(threshold)

    def count(p: FloatArray, r: FloatArray) -> FloatArray:
        hits = (broadcast_iou(p[:, :, None], r[:, None]) >= threshold).astype(np.float64)
        return np.asarray(matched(hits).sum(axis=1), dtype=np.float64)

    return np.asarray(score_sets(predicted, reference, count), dtype=np.int64)


def f1_at(predicted: ArrayLike, reference: ArrayLike, threshold: float) -> float:
    """F1 of one phrase's boxes at an IoU threshold; a phrase with no box on either side has 1."""
    return float(f1s_at(BoxSets.of([predicted]), BoxSets.of([reference]), threshold)[0])


def f1s_at(predicted: BoxSets, reference: BoxSets, threshold: float) -> FloatArray:
    """``f1_at`` of each phrase, ``[n]``: ``2 found / (predicted + reference)``."""
    found, boxes = found_boxes(predicted, reference, threshold), predicted.counts + reference.counts
    scores: FloatArray = np.ones(len(found))
    np.divide(2.0 * found, boxes, out=scores, where=boxes > 0)
    return scores


def f1_pooled_at(predicted: BoxSets, reference: BoxSets, threshold: float) -> float:
    """F1 over the boxes of all phrases together; NaN without a box on either side."""
    boxes = int(predicted.counts.sum() + reference.counts.sum())
    return 2 * int(found_boxes(predicted, reference, threshold).sum()) / boxes if boxes else float("nan")


def all_found_at(predicted: BoxSets, reference: BoxSets, threshold: float) -> float:
    """Share of phrases with an F1 of 1: every reference box found, none too many; NaN without a phrase."""
    scores = f1s_at(predicted, reference, threshold)
    return float((scores == 1).mean()) if scores.size else float("nan")
