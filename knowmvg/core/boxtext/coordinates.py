"""Four numbers as they stand in an answer: are they a box?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from knowmvg.core.boxtext.reading import Box, Fault
from knowmvg.core.frames import Size

PIXEL = 1.0
"""The slack of boxes in pixels: a box may end a pixel beyond the image without anybody having meant it."""

Verdict = tuple[Box | None, tuple[Fault, ...]]


def judge(
    values: object,
    limits: tuple[float, float],
    *,
    y_first: bool = False,
    slack: float = 0.0,
    repair: bool = False,
) -> Verdict:
    """A box ``x1, y1, x2, y2`` from what should be four numbers in ``[0, limits]``, or ``None``, and its faults.

    Args:
        values: anything; a sequence of four real numbers is a box.
        limits: the greatest ``(x, y)``.
        y_first: the numbers are ``y1, x1, y2, x2``.
        slack: how far out of range is rounding and no fault; it is cut.
        repair: order swapped corners and cut what is out of range, instead of leaving the box out. The fault is listed
            all the same. A box with the wrong number of coordinates, or with one that is no number, is never repaired.
    """
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)) or len(values) != 4:
        return None, (Fault.PARTIAL,)
    if not all(_is_number(value) for value in values):
        return None, (Fault.NOT_A_NUMBER,)
    x1, y1, x2, y2 = (values[i] for i in ((1, 0, 3, 2) if y_first else (0, 1, 2, 3)))
    faults = []
    if not (_within((x1, x2), limits[0], slack) and _within((y1, y2), limits[1], slack)):
        faults.append(Fault.OUT_OF_RANGE)
    x1, x2 = (min(max(x, 0), limits[0]) for x in (x1, x2))
    y1, y2 = (min(max(y, 0), limits[1]) for y in (y1, y2))
    if x1 > x2 or y1 > y2:
        faults.append(Fault.SWAPPED)
        x1, x2, y1, y2 = *sorted((x1, x2)), *sorted((y1, y2))
    if faults and not repair:
        return None, tuple(faults)
    if x1 == x2 or y1 == y2:
        return None, (*faults, Fault.NO_AREA)
    return (float(x1), float(y1), float(x2), float(y2)), tuple(faults)


def judge_score(value: object) -> tuple[float | None, tuple[Fault, ...]]:
    """A score in ``[0, 1]``; ``None`` for none, and with a fault for anything else."""
    if value is None:
        return None, ()
    if not _is_number(value) or not 0 <= value <= 1:
        return None, (Fault.BAD_SCORE,)
    return float(value), ()


def scaled(box: Box, kx: float, ky: float) -> Box:
    """The box with x and y multiplied."""
    return box[0] * kx, box[1] * ky, box[2] * kx, box[3] * ky


def on_grid(box: Box, canvas: Size, grid: float) -> Box:
    """A box in canvas pixels, cut to the canvas, in units of ``grid`` to each side."""
    width, height = canvas
    x1, x2 = (min(max(x, 0.0), width) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, 0.0), height) for y in (box[1], box[3]))
    return scaled((x1, y1, x2, y2), grid / width, grid / height)


def nearest(value: float) -> int:
    """The nearest integer, halves up: unlike ``round``, which goes to even numbers and so is no constant shift."""
    return int(value + 0.5)


def _is_number(value: object) -> TypeGuard[float]:
    """A finite real number; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, int) or value - value == 0


def _within(values: tuple[float, float], limit: float, slack: float) -> bool:
    return all(-slack <= value <= limit + slack for value in values)
