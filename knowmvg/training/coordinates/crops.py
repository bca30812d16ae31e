"""Crops that leave no box behind: a crop is a part that a frame shows, and boxes go through it like any others.

There is no flip. It would make every "left" and "right" of phrase and report false, and the heart's side with them.
"""

from __future__ import annotations

from random import Random

from numpy.typing import ArrayLike

from knowmvg.core import boxes as bx
from knowmvg.core.boxtext.views import Part
from knowmvg.core.frames import Size


def random_part(stored: Size, boxes: ArrayLike, least: float, random: Random) -> Part:
    """``(left, top, width, height)`` of a random part of the image, in stored pixels, with every box whole in it.

    Args:
        stored: ``(width, height)`` of the image.
        boxes: ``[n, 4]`` in stored pixels.
        least: least share of each side that is shown; 1 shows the whole image.
        random: the source of chance.
    """
    found = bx.as_boxes(boxes)
    spans = []
    for axis, side in enumerate(stored):
        low = float(found[:, axis].min()) if len(found) else float(side)
        high = float(found[:, axis + 2].max()) if len(found) else 0.0
        length = max(side * random.uniform(least, 1.0), high - low, 1.0)
        first, last = max(0.0, high - length), min(low, side - length)
        start = random.uniform(first, last) if first <= last else first
        spans.append((min(start, side - length), length))
    (left, width), (top, height) = spans
    return left, top, width, height
