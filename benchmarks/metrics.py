"""How long a million boxes take to score with intervals, in how much memory, and how far COCO AP is from its reference.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py --json out.json

``seconds_million_boxes``: a million predicted boxes against a million reference boxes, both drawn at random: two
thirds of a million phrases with one to three boxes, of patients with one to six phrases and of eleven findings. Timed
from the arrays of boxes to all means over phrases, over findings and of each finding, each with its interval of 2,000
resamples, on one core. ``peak_gb`` is the greatest resident memory of the whole process until then, imports and the
drawing of the boxes included. ``coco_ap_difference``: the greatest difference of any of COCO's figures (AP, AP50,
AP75, AR1, AR10, AR100) between ``knowmvg.evaluation.metrics.coco_ap`` and pycocotools on random data sets.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np

from knowmvg.core.boxes import FloatArray, xyxy_to_xywh
from knowmvg.evaluation.intervals import RESAMPLES
from knowmvg.evaluation.localisation import Scores, localise
from knowmvg.evaluation.metrics import BoxSets, coco_ap

BOXES = 1_000_000
IMAGE = 1024.0
FINDINGS = 11
DATA_SETS = 5


def one_core() -> None:
    """Keep this process on one core where the system lets it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def draw_boxes(rng: np.random.Generator, n: int) -> FloatArray:
    """Boxes ``[n, 4]`` inside the image."""
    corners = rng.uniform(0, 0.7 * IMAGE, (n, 2))
    return np.concatenate([corners, corners + rng.uniform(20, 0.3 * IMAGE, (n, 2))], axis=1)


def draw_phrases(rng: np.random.Generator, boxes: int) -> tuple[BoxSets, BoxSets]:
    """Predicted and reference boxes, about ``boxes`` of each: near the reference, some missing, some too many."""
    counts = rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1], size=round(boxes / 1.5))
    reference = BoxSets(draw_boxes(rng, int(counts.sum())), counts)
    kept = rng.uniform(size=len(reference.boxes)) > 0.1
    near = reference.boxes[kept] + rng.normal(0, 25, (int(kept.sum()), 1))
    extra = rng.integers(0, len(counts), len(reference.boxes) - int(kept.sum()))
    phrase = np.concatenate([reference.phrases[kept], extra])
    given = np.concatenate([near, draw_boxes(rng, len(extra))])[np.argsort(phrase, kind="stable")]
    return BoxSets(given, np.bincount(phrase, minlength=len(counts))), reference


def time_million(boxes: int = BOXES, resamples: int = RESAMPLES) -> dict[str, float]:
    """Seconds and memory of scoring so many boxes, and what was scored."""
    rng = np.random.default_rng(0)
    predicted, reference = draw_phrases(rng, boxes)
    sizes = rng.integers(1, 7, len(reference))
    patients = np.repeat(np.arange(len(sizes)), sizes)[: len(reference)].astype(np.str_)
    findings = np.array([f"finding {k}" for k in range(FINDINGS)])[rng.integers(0, FINDINGS, len(reference))]
    start = time.perf_counter()
    scores = Scores.of_boxes(predicted, reference, patients)
    scored = time.perf_counter()
    micro, _, parts = localise(scores, findings, resamples=resamples)
    end = time.perf_counter()
    if micro.miou is None or micro.miou.low is None or len(parts) != FINDINGS:
        sys.exit("expected an interval for each figure, got none: the time would mean nothing")
    return {
        "seconds_million_boxes": round(end - start, 2),
        "seconds_scoring": round(scored - start, 2),
        "seconds_intervals": round(end - scored, 2),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * peak_unit() / 1e9, 3),
        "predicted_boxes": len(predicted.boxes),
        "reference_boxes": len(reference.boxes),
        "phrases": micro.n_phrases,
        "patients": micro.n_patients,
        "resamples": resamples,
    }


def peak_unit() -> int:
    """Bytes of ``ru_maxrss``: macOS counts bytes, Linux kibibytes."""
    return 1 if sys.platform == "darwin" else 1024


def compare_ap(data_sets: int = DATA_SETS) -> float:
    """The greatest difference of any of COCO's figures from those of pycocotools."""
    gaps = []
    for seed in range(data_sets):
        rng = np.random.default_rng(seed)
        predicted, reference = draw_phrases(rng, 900)
        scores = rng.uniform(size=len(predicted.boxes))
        images = [f"i{k}" for k in rng.integers(0, 150, len(reference))]
        classes = [f"c{k}" for k in rng.integers(0, FINDINGS, len(reference))]
        ours = coco_ap(predicted, scores, reference, images=images, classes=classes)
        gaps.append(np.abs(np.array(ours) - reference_ap(predicted, scores, reference, images, classes)).max())
    return float(max(gaps))


def reference_ap(
    predicted: BoxSets, scores: FloatArray, reference: BoxSets, images: list[str], classes: list[str]
) -> FloatArray:
    """AP, AP50, AP75, AR1, AR10 and AR100 of pycocotools, by a call of its own."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        sys.exit("expected pycocotools, the reference of COCO AP; got none. Install it: pip install pycocotools")
    place = {name: k for k, name in enumerate(sorted(set(images)), 1)}
    kind = {name: k for k, name in enumerate(sorted(set(classes)), 1)}

    def rows(sets: BoxSets) -> list[dict[str, object]]:
        pairs = zip(sets.phrases.tolist(), xyxy_to_xywh(sets.boxes).tolist(), strict=True)
        return [
            {"id": i, "image_id": place[images[k]], "category_id": kind[classes[k]], "bbox": box}
            | {"area": box[2] * box[3], "iscrowd": 0}
            for i, (k, box) in enumerate(pairs, 1)
        ]

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": k} for k in place.values()],
            "categories": [{"id": k, "name": name} for name, k in kind.items()],
            "annotations": rows(reference),
        }
        truth.createIndex()
        answers = [row | {"score": score} for row, score in zip(rows(predicted), scores.tolist(), strict=True)]
        found = COCOeval(truth, truth.loadRes(answers), "bbox")
        found.evaluate()
        found.accumulate()
        found.summarize()
    return np.asarray(found.stats, dtype=np.float64)[[0, 1, 2, 6, 7, 8]]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    arguments = parser.parse_args()
    one_core()
    figures = {**time_million(), "coco_ap_difference": compare_ap()}
    for name, value in figures.items():
        print(f"{name:24} {value:>12}")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.json.with_name(arguments.json.name + ".part")
    result = {**figures, "processor": platform.machine(), "numpy": np.__version__}
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(part, arguments.json)


if __name__ == "__main__":
    main()
