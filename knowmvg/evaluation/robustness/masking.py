"""A region of an image painted over with its surroundings, and an equally large one elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.boxes import FloatArray, as_boxes
from knowmvg.core.records import Study
from knowmvg.evaluation.metrics import covered_area

RING = 0.25
"""Width of the frame round a box whose mean is painted over it, as a share of the box's sides."""
_TRIES = 200
_SHARED = 0.05


def painted(study: Study, boxes: FloatArray, note: str) -> Study:
    """The study with each box ``[n, 4]`` filled with the mean of the frame round it; ``note`` joins its identifier.

    Where nothing is left round the boxes, the fill is the image's mean.
    """
    pixels = study.image.pixels.copy()
    inside = np.zeros(pixels.shape, dtype=np.bool_)
    for box in boxes:
        inside[_window(box, study.image.size)] = True
    for box in boxes:
        wide = _window(_grown(box), study.image.size)
        ring = study.image.pixels[wide][~inside[wide]]
        pixels[_window(box, study.image.size)] = ring.mean() if ring.size else study.image.pixels.mean()
    return replace(study, image=replace(study.image, pixels=pixels), id=f"{study.id} ({note})")


def elsewhere(boxes: FloatArray, size: tuple[int, int], rng: np.random.Generator) -> FloatArray | None:
    """Boxes ``[n, 4]`` of the same sizes at random places of the image that hold at most 5 % of the given ones' area.

    ``None`` where no such places were found: the boxes are too large.
    """
    sides, free = boxes[:, 2:] - boxes[:, :2], np.array(size, dtype=np.float64)
    for _ in range(_TRIES):
        corner = rng.uniform(size=sides.shape) * np.clip(free - sides, 0, None)
        found = np.concatenate([corner, corner + sides], axis=1)
        if _shared(found, boxes) <= _SHARED * covered_area(boxes):
            return as_boxes(found)
    return None


def _shared(first: FloatArray, second: FloatArray) -> float:
    """Area that lies in boxes of both, by inclusion and exclusion."""
    return covered_area(first) + covered_area(second) - covered_area(np.concatenate([first, second]))


def _grown(box: NDArray[np.float64]) -> NDArray[np.float64]:
    margin = np.maximum(RING * (box[2:] - box[:2]), 2.0)
    return np.concatenate([box[:2] - margin, box[2:] + margin])


def _window(box: NDArray[np.float64], size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the pixels that a box touches."""
    x1, y1 = np.clip(np.floor(box[:2]), 0, size).astype(int)
    x2, y2 = np.clip(np.ceil(box[2:]), 0, size).astype(int)
    return slice(y1, y2), slice(x1, x2)
