"""Average precision as COCO defines it, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmvg.core.boxes import xyxy_to_xywh
from knowmvg.evaluation.metrics.assignment import IntArray
from knowmvg.evaluation.metrics.box_sets import BoxSets

MAX_DETECTIONS = (1, 10, 100)


class CocoAP(NamedTuple):
    """COCO's figures over boxes of every size; NaN without a reference box.

    ``ap`` is averaged over IoU 0.50 to 0.95, ``ap50`` and ``ap75`` are at one IoU, ``ar1``, ``ar10`` and ``ar100`` are
    the average recall with so many boxes an image.
    """

    ap: float
    ap50: float
    ap75: float
    ar1: float
    ar10: float
    ar100: float


def coco_ap(
    predicted: BoxSets,
    scores: ArrayLike,
    reference: BoxSets,
    *,
    images: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> CocoAP:
    """COCO average precision of scored boxes.

    Args:
        predicted: the predicted boxes of ``n`` phrases, stored pixels.
        scores: a score a predicted box, in the order of ``predicted.boxes``.
        reference: the reference boxes of the same phrases.
        images: names the image of each phrase; boxes of one image and class compete. ``None``: each phrase stands
            alone, as it was asked (``coco_ap``). With the studies' identifiers this is detection in the usual sense
            (``coco_ap_image``).
        classes: names the class of each phrase (its finding); the figures are means over classes. ``None``: one class.

    Raises:
        ValueError: lists that do not fit each other, or a score that is not finite.
    """
    n = len(reference)
    score = np.asarray(scores, dtype=np.float64).reshape(-1)
    if len(predicted) != n or len(score) != len(predicted.boxes) or not np.isfinite(score).all():
        got = f"{len(predicted)} and {n} phrases, {len(score)} scores of {len(predicted.boxes)} boxes"
        raise ValueError(f"expected as many phrases on both sides and a finite score a box, got {got}")
    place = np.arange(1, n + 1) if images is None else _numbered(images, n)
    kind = np.ones(n, dtype=np.int64) if classes is None else _numbered(classes, n)
    if len(reference.boxes) == 0:
        return CocoAP(*[float("nan")] * 6)
    truth = {
        "images": [{"id": i} for i in np.unique(place).tolist()],
        "categories": [{"id": k, "name": str(k)} for k in np.unique(kind).tolist()],
        "annotations": _annotations(reference, place, kind),
    }
    answers = _annotations(predicted, place, kind)
    for row, value in zip(answers, score.tolist(), strict=True):
        row["score"] = value
    return _evaluated(truth, answers)


def _evaluated(truth: dict[str, Any], answers: list[dict[str, Any]]) -> CocoAP:
    from faster_coco_eval import COCO, COCOeval_faster  # a fifth of a second, and only here

    reference = COCO(truth)
    found = COCOeval_faster(reference, reference.loadRes(answers), iouType="bbox")
    found.params.maxDets = list(MAX_DETECTIONS)
    found.evaluate()
    found.accumulate()
    precision = found.eval["precision"]  # [IoU, recall, class, area, boxes an image]
    recall = found.eval["recall"]  # [IoU, class, area, boxes an image]
    at = {t: int(np.argmin(np.abs(found.params.iouThrs - t))) for t in (0.5, 0.75)}
    every = precision[:, :, :, 0, -1]
    return CocoAP(
        ap=_mean(every),
        ap50=_mean(every[at[0.5]]),
        ap75=_mean(every[at[0.75]]),
        ar1=_mean(recall[:, :, 0, 0]),
        ar10=_mean(recall[:, :, 0, 1]),
        ar100=_mean(recall[:, :, 0, 2]),
    )


def _mean(values: NDArray[np.float64]) -> float:
    known = values[values > -1]  # COCO's mark of a class without a reference box
    return float(known.mean()) if known.size else float("nan")


def _numbered(names: Sequence[str], n: int) -> IntArray:
    """Numbers from 1 for names, in their sorted order."""
    if len(names) != n:
        raise ValueError(f"expected a name for each of {n} phrases, got {len(names)}")
    return np.asarray(np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)[1] + 1, dtype=np.int64)


def _annotations(sets: BoxSets, place: IntArray, kind: IntArray) -> list[dict[str, Any]]:
    """COCO's rows, identifiers from 1: COCO's evaluation takes 0 for "unmatched"."""
    boxes = xyxy_to_xywh(sets.boxes)
    columns = (place[sets.phrases].tolist(), kind[sets.phrases].tolist(), boxes.tolist())
    return [
        {"id": i, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for i, (image, category, box) in enumerate(zip(*columns, strict=True), start=1)
    ]
