"""Boxes of a source as boxes of the manifest: checked, clipped to the image, and counted where that changed them."""

from __future__ import annotations

from collections.abc import Sequence

from knowmvg.core.boxes import area, clip, xywh_to_xyxy
from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.manifest import Box

MAX_SIDE = 65_535
_SLACK = 1e-3  # pixels that a box may lie outside without a word: rounding


def image_side(value: float, name: str) -> int:
    """A side of an image in pixels. Raises ``UnusableError`` unless it is a whole number from 1 to ``MAX_SIDE``."""
    if value != int(value) or not 1 <= value <= MAX_SIDE:
        raise UnusableError("wrong image size", f"{name} is no whole number from 1 to {MAX_SIDE}")
    return int(value)


def box_from_xywh(left: float, top: float, width: float, height: float) -> Box:
    """``(x1, y1, x2, y2)`` from finite numbers. Raises ``UnusableError`` for a box without area."""
    if width <= 0 or height <= 0:
        raise UnusableError("box without area", f"width {width:g}, height {height:g}")
    x1, y1, x2, y2 = xywh_to_xyxy([[left, top, width, height]])[0].tolist()
    return x1, y1, x2, y2


def box_from_xyxy(x1: float, y1: float, x2: float, y2: float) -> Box:
    """A box of two corners, finite numbers. Raises ``UnusableError`` for one without area or with swapped corners."""
    if x2 <= x1 or y2 <= y1:
        raise UnusableError("box without area", f"width {x2 - x1:g}, height {y2 - y1:g}")
    return x1, y1, x2, y2


def inside(box: Box, size: tuple[int, int]) -> tuple[Box, str | None]:
    """A box clipped to an image of ``size`` (width, height), and how far it lay outside, or ``None`` if it did not.

    Raises ``UnusableError`` for a box that lies outside entirely.
    """
    x1, y1, x2, y2 = box
    if 0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]:
        return box, None  # as nearly every box; numpy would take most of the time of a large set
    clipped = clip([box], size)
    if area(clipped)[0] <= 0:
        raise UnusableError("box outside", f"entirely outside the image of {size[0]} x {size[1]} pixels")
    outside = max(abs(a - b) for a, b in zip(box, clipped[0].tolist(), strict=True))
    x1, y1, x2, y2 = clipped[0].tolist()
    if outside <= _SLACK:
        return (x1, y1, x2, y2), None
    return (x1, y1, x2, y2), f"up to {outside:.6g} pixels outside the image of {size[0]} x {size[1]}; clipped"


def all_inside(boxes: Sequence[Box], size: tuple[int, int]) -> tuple[tuple[Box, ...], list[str]]:
    """Boxes clipped to an image, with the details of those that changed. Raises ``UnusableError`` as ``inside``."""
    results = [inside(box, size) for box in boxes]
    return tuple(box for box, _ in results), [detail for _, detail in results if detail is not None]
