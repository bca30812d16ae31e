"""Numbers for a box: how many bins a side has, how a coordinate is rounded to one, and what is read back of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowmvg.core import boxes as bx
from knowmvg.core.boxes import FloatArray
from knowmvg.core.boxtext.coordinates import Verdict, judge, scaled
from knowmvg.core.boxtext.reading import Box
from knowmvg.core.frames import Size

Rounding: TypeAlias = Literal["nearest", "floor", "cell"]
Order: TypeAlias = Literal["xyxy", "yxyx"]

IntArray: TypeAlias = NDArray[np.int64]

_ORDERS: dict[Order, tuple[int, int, int, int]] = {"xyxy": (0, 1, 2, 3), "yxyx": (1, 0, 3, 2)}


@dataclass(frozen=True, slots=True)
class Grid:
    """The numbers of a box on a canvas.

    Args:
        bins: to a side of the canvas; ``None`` for one a pixel of the canvas (absolute pixels).
        rounding: ``nearest``: the nearest of the ``bins + 1`` edges between bins, read as that edge. ``floor``: the
            edge to the left or above, read as that edge, which moves every box by half a bin on average (the training
            targets of MiniGPT-v2 and PFMVG). ``cell``: the bin that the coordinate lies in, read as its centre.
        order: in which the numbers are written.
        top: the greatest number, where it is less than ``bins`` (``nearest``, ``floor``) or ``bins - 1`` (``cell``).
        slack: how far out of range is rounding and no fault, in bins.

    Raises ``ValueError`` for fewer than two bins or a ``top`` out of range.
    """

    bins: int | None = None
    rounding: Rounding = "nearest"
    order: Order = "xyxy"
    top: int | None = None
    slack: float = 0.0

    def __post_init__(self) -> None:
        if self.bins is not None and self.bins < 2:
            raise ValueError(f"expected at least 2 bins, got {self.bins}")
        if self.top is not None and (self.bins is None or not 1 <= self.top <= self.bins):
            raise ValueError(f"expected a greatest number between 1 and the bins, got {self.top} for {self.bins}")

    def units(self, canvas: Size) -> tuple[int, int]:
        """Bins to the width and to the height of a canvas."""
        return canvas if self.bins is None else (self.bins, self.bins)

    def greatest(self, canvas: Size) -> tuple[int, int]:
        """The greatest number that stands for an ``x`` and for a ``y``."""
        if self.top is not None:
            return self.top, self.top
        width, height = self.units(canvas)
        less = int(self.rounding == "cell")
        return width - less, height - less

    def numbers(self, boxes: ArrayLike, canvas: Size) -> IntArray:
        """Canvas boxes ``[n, 4]``, cut to the canvas, as numbers ``[n, 4]`` in xyxy; every box keeps an extent.

        A box that is a bin long or longer has other numbers at its ends. One that is shorter may be rounded to a line;
        it is given the bin at that line that it reaches further into.
        """
        units, greatest = self._four(self.units(canvas)), self._four(self.greatest(canvas)).astype(np.int64)
        places = bx.clip(boxes, canvas) * (units / self._four(canvas))
        whole = np.floor(places + 0.5 * (self.rounding == "nearest")).astype(np.int64)
        whole = np.clip(whole, 0, greatest)
        low, high = whole[:, :2].copy(), whole[:, 2:].copy()
        edges = low + (0.5 if self.rounding == "cell" else 0.0)
        line, middle = low >= high, (places[:, :2] + places[:, 2:]) / 2
        before = line & ((middle < edges) | (high == greatest[2:])) & (low > 0)
        low[before] -= 1
        high[line & ~before] += 1
        return np.concatenate([low, high], axis=1)

    def boxes(self, numbers: ArrayLike, canvas: Size) -> FloatArray:
        """Numbers ``[n, 4]`` in xyxy, whole or between, as canvas boxes."""
        shift = 0.5 if self.rounding == "cell" else 0.0
        return (bx.as_boxes(numbers) + shift) * (self._four(canvas) / self._four(self.units(canvas)))

    def write(self, box: Box, canvas: Size) -> tuple[int, ...]:
        """The four numbers of a canvas box as they are written."""
        (found,) = self.numbers([box], canvas).tolist()
        return tuple(found[place] for place in _ORDERS[self.order])

    def read(self, values: object, canvas: Size, *, repair: bool = False) -> Verdict:
        """The canvas box of what should be four numbers as they are written, and its faults (see ``judge``)."""
        y_first = self.order == "yxyx"
        numbers, faults = judge(values, self.greatest(canvas), y_first=y_first, slack=self.slack, repair=repair)
        if numbers is None:
            return None, faults
        shift = 0.5 if self.rounding == "cell" else 0.0
        (kx, ky), (width, height) = self.units(canvas), canvas
        x1, y1, x2, y2 = (number + shift for number in numbers)
        return scaled((x1, y1, x2, y2), width / kx, height / ky), faults

    @staticmethod
    def _four(pair: tuple[float, float]) -> FloatArray:
        return np.array([*pair, *pair], dtype=np.float64)
