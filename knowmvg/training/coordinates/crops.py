"""Crops that leave no box behind: a crop is a frame, and boxes go through it like any others.

There is no flip. It would make every "left" and "right" of phrase and report false, and the heart's side with them.
"""

from __future__ import annotations

from random import Random

from numpy.typing import ArrayLike

from knowmvg.core import boxes as bx
from knowmvg.core.frames import Frame, Size


def random_crop(stored: Size, boxes: ArrayLike, canvas: Size, least: float, random: Random) -> Frame:
    """A frame that shows a random part of the image, stretched over the canvas, with every box whole in it.

    Args:
        stored: ``(width, height)`` of the image.
        boxes: ``[n, 4]`` in stored pixels.
        canvas: ``(width, height)`` of what the model sees.
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
    scale = canvas[0] / width, canvas[1] / height
    return Frame(stored, canvas, scale, (-left * scale[0], -top * scale[1]))
