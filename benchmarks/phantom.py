"""How hard and how fast the simulated radiographs are: ``python benchmarks/phantom.py --json OUT``.

A prior is fitted on ``--fit`` images and scored on ``--test`` others, over every box of every finding, mentioned or
not: ``class_mean_box_miou`` answers the mean box of the finding, ``oracle_text_miou`` the mean box of the finding with
its side and zone, known perfectly. Boxes of a finding with two are matched from the image's left to its right.
``ms_per_image`` is the median processor time, which other work on the machine disturbs less than the clock.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from pathlib import Path

import numpy as np

from knowmvg.core.boxes import pairwise_iou
from knowmvg.sources.phantom.scene import Finding, Scene
from knowmvg.sources.phantom.simulate import simulate

Box = tuple[float, float, float, float]


def scenes(first: int, count: int, size: int) -> Iterator[tuple[Scene, float]]:
    """Images of consecutive seeds, each with the milliseconds of one core that it took."""
    for seed in range(first, first + count):
        start = time.process_time()
        scene = simulate(np.random.default_rng(seed), size=size)
        yield scene, (time.process_time() - start) * 1e3


def keyed_boxes(finding: Finding, text: bool) -> Iterator[tuple[Hashable, Box]]:
    """Every box of a finding with what a prior may know of it."""
    known = (finding.side, finding.zone, len(finding.lesions)) if text else ()
    for index, lesion in enumerate(finding.lesions):
        place = (len(finding.lesions), index)
        yield (finding.name, known, place if text else place * (finding.name == "edema")), lesion.box


def prior_miou(fit: list[Finding], test: list[Finding], text: bool) -> float:
    """Mean IoU over the boxes of ``test`` with the mean box of the same key in ``fit`` (0 where the key is new)."""
    groups: dict[Hashable, list[Box]] = defaultdict(list)
    for finding in fit:
        for key, box in keyed_boxes(finding, text):
            groups[key].append(box)
    means = {key: np.mean(boxes, axis=0) for key, boxes in groups.items()}
    scores = [
        pairwise_iou([means[key]], [box])[0, 0] if key in means else 0.0
        for finding in test
        for key, box in keyed_boxes(finding, text)
    ]
    return float(np.mean(scores))


def measure(fit_count: int, test_count: int, size: int) -> dict[str, object]:
    """All figures of the benchmark; the test images are the first seeds."""
    timed = list(scenes(0, test_count, size))
    test = [finding for scene, _ in timed for finding in scene.findings]
    fit = [finding for scene, _ in scenes(test_count, fit_count, size) for finding in scene.findings]
    lesions = [lesion for finding in test for lesion in finding.lesions]
    per_finding = {
        name: {
            "findings": count,
            "boxes": sum(len(f.lesions) for f in test if f.name == name),
            "class_mean_miou": round(prior_miou(fit, [f for f in test if f.name == name], False), 3),
            "oracle_text_miou": round(prior_miou(fit, [f for f in test if f.name == name], True), 3),
            "median_area_share": round(
                float(np.median([ls.mask.mean() for f in test if f.name == name for ls in f.lesions])), 4
            ),
        }
        for name, count in sorted(Counter(f.name for f in test).items())
    }
    return {
        "size": size,
        "ms_per_image": round(float(np.median([ms for _, ms in timed])), 1),
        "class_mean_box_miou": round(prior_miou(fit, test, False), 4),
        "oracle_text_miou": round(prior_miou(fit, test, True), 4),
        "images": test_count,
        "fit_images": fit_count,
        "findings_per_image": round(len(test) / test_count, 3),
        "boxes_per_image": round(len(lesions) / test_count, 3),
        "share_without_finding": round(sum(not scene.findings for scene, _ in timed) / test_count, 3),
        "share_unmentioned": round(sum(not f.mentioned for f in test) / len(test), 3),
        "per_finding": per_finding,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, and writes the JSON whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="file to write")
    parser.add_argument("--fit", type=int, default=2000, help="images that the priors are fitted on")
    parser.add_argument("--test", type=int, default=400, help="images that the priors are scored on")
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    options = parser.parse_args(arguments)
    text = json.dumps(measure(options.fit, options.test, options.size), indent=2) + "\n"
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=options.json.parent, delete=False, suffix=".part") as part:
        part.write(text)
    Path(part.name).replace(options.json)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
