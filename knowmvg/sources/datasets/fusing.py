"""Boxes that several readers drew around the same thing, as one box each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from knowmvg.core.boxes import iou
from knowmvg.sources.manifest import Box

SAME = 0.5  # IoU from which two readers' boxes are taken for the same finding


def fuse(drawn: Iterable[tuple[str, Box]], *, same: float = SAME) -> list[tuple[Box, int]]:
    """The mean of each set of boxes that agree, with the number of readers behind it, from left to right.

    A box joins the set whose mean it overlaps most, if by an IoU of ``same`` or more and without a box of its reader in
    it; otherwise it opens a set of its own. Boxes are taken reader by reader and left to right, so that the order in
    the file does not matter. A box counts once for each reader who drew it.

    Args:
        drawn: reader and box (xyxy, any unit).
        same: the least IoU.
    """
    sets: list[dict[str, Box]] = []
    for reader, box in sorted(set(drawn)):
        overlaps = [0.0 if reader in s else float(iou([box], [_mean(s)])[0]) for s in sets]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best >= 0 and overlaps[best] >= same:
            sets[best][reader] = box
        else:
            sets.append({reader: box})
    return sorted((_mean(s), len(s)) for s in sets)


def _mean(boxes: dict[str, Box]) -> Box:
    x1, y1, x2, y2 = np.mean(list(boxes.values()), axis=0).tolist()
    return x1, y1, x2, y2
