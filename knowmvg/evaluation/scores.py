"""Every metric of docs/metrics.md that boxes and their scores allow, for one row of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation import metrics
from knowmvg.evaluation.intervals import RESAMPLES, Estimate, bootstrap, cluster_totals, quotients
from knowmvg.evaluation.metrics import THRESHOLD_NAMES, THRESHOLDS, BoxSets
from knowmvg.evaluation.samples import Sample

Column = tuple[FloatArray, FloatArray]
"""Numerator and denominator of each phrase, ``[n]``: the metric is the quotient of their sums."""

_STRICT = THRESHOLDS[-1]


def score_samples(
    samples: Sequence[Sample], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate | None]:
    """Metrics by their names in docs/metrics.md; ``None`` where one is undefined.

    Those that are means of phrases have an interval over patients. Those that rank all phrases (COCO AP, calibration,
    risk and coverage) and means of class means have none.
    """
    if not samples:
        return {}
    predicted = BoxSets.of([sample.predicted for sample in samples])
    reference = BoxSets.of([sample.reference for sample in samples])
    ious = np.array([sample.iou for sample in samples])
    found = _with_intervals(_columns(predicted, reference, ious), [s.patient for s in samples], resamples, seed)
    plain = _legacy(samples, predicted, reference, ious)
    if all(len(sample.scores) == len(sample.predicted) for sample in samples):
        plain |= _coco(samples, predicted, reference) | _uncertainty(samples, ious)
    return found | {name: None if np.isnan(value) else Estimate(value=value) for name, value in plain.items()}


def _columns(predicted: BoxSets, reference: BoxSets, ious: FloatArray) -> dict[str, Column]:
    one = np.ones(len(ious))
    answered = (predicted.counts > 0).astype(np.float64)
    boxes = (predicted.counts + reference.counts).astype(np.float64)
    columns = {
        "valid_rate": (answered, one),
        "miou_box_valid_only": (ious * answered, answered),
        "dice_box": (metrics.dice_boxes(predicted, reference), one),
    }
    for name, threshold in zip(THRESHOLD_NAMES, THRESHOLDS, strict=True):
        pairs = metrics.found_boxes(predicted, reference, threshold).astype(np.float64)
        columns[f"f1@{name}"] = (2 * pairs / boxes, one)  # a phrase has a reference box: never 0 / 0
        columns[f"f1_pooled@{name}"] = (2 * pairs, boxes)
        columns[f"all_found@{name}"] = ((2 * pairs == boxes).astype(np.float64), one)
    return columns


def _with_intervals(
    columns: dict[str, Column], patients: Sequence[str], resamples: int, seed: int
) -> dict[str, Estimate | None]:
    """Quotients of sums with their cluster bootstrap intervals, all from the same resampled patients."""
    table = np.stack([column for pair in columns.values() for column in pair], axis=1)
    totals = cluster_totals(table, patients)
    found = bootstrap(totals, quotients, resamples=resamples, seed=seed)
    return {name: found.estimate(k, share=True) for k, name in enumerate(columns)}


def _legacy(samples: Sequence[Sample], predicted: BoxSets, reference: BoxSets, ious: FloatArray) -> dict[str, float]:
    by_finding = metrics.group_means(ious, _findings(samples))
    first = metrics.defined_mean(metrics.umedground_first_box_ious(predicted, reference))
    return {
        "legacy:g2g_weighted_average": metrics.g2g_weighted_average(by_finding.means, by_finding.counts),
        "legacy:umedground_first_box_miou": first.value,
        f"legacy:refcoco_strict_acc@{_STRICT:g}": metrics.refcoco_strict_acc(ious, _STRICT),
    }


def _coco(samples: Sequence[Sample], predicted: BoxSets, reference: BoxSets) -> dict[str, float]:
    scores = [score for sample in samples for score in sample.scores]
    alone = metrics.coco_ap(predicted, scores, reference)
    studies = [sample.study for sample in samples]
    together = metrics.coco_ap(predicted, scores, reference, images=studies, classes=_findings(samples))
    return {
        "coco_ap": alone.ap,
        "coco_ap50": alone.ap50,
        "coco_ap75": alone.ap75,
        "coco_ap_image": together.ap,
        "coco_ap50_image": together.ap50,
        "coco_ap75_image": together.ap75,
    }


def _uncertainty(samples: Sequence[Sample], ious: FloatArray) -> dict[str, float]:
    """A phrase's score is the mean over its boxes; one without a box has none, and comes last in the ranking."""
    boxed = np.array([len(sample.scores) > 0 for sample in samples])
    scores = np.array([np.mean(sample.scores) if sample.scores else -np.inf for sample in samples])
    hits = metrics.hits_at(ious, _STRICT)
    found = {
        "ece_iou": metrics.calibration_error(scores[boxed], ious[boxed]),
        f"ece@{_STRICT:g}": metrics.calibration_error(scores[boxed], hits[boxed]),
    }
    for mark, risks in (("_iou", 1 - ious), (f"@{_STRICT:g}", 1 - hits.astype(np.float64))):
        found |= {
            f"aurc{mark}": metrics.aurc(scores, risks),
            f"aurc_optimal{mark}": metrics.aurc_optimal(risks),
            f"aurc_random{mark}": metrics.aurc_random(risks),
            f"e_aurc{mark}": metrics.e_aurc(scores, risks),
        }
    return found


def _findings(samples: Sequence[Sample]) -> list[str]:
    return [sample.finding or "" for sample in samples]
