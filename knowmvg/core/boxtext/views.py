"""What a model saw of an image, as a ``Frame``: the ways in which processors fit an image to their canvas."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from knowmvg.core.frames import Frame, Size

MAX_SIDE = 100_000

Part = tuple[float, float, float, float]
_WORDS = re.compile(r"(?P<fit>[a-z]+)(?::(?P<width>\d{1,6})x(?P<height>\d{1,6}))?")


class Fit(StrEnum):
    """``squash``: stretched over the canvas. ``letterbox``: whole and centred, the rest padded. ``corner``: whole, at
    the top left, padded to the right and below. ``crop``: the canvas filled, centred, what overhangs cut off.
    """

    SQUASH = "squash"
    LETTERBOX = "letterbox"
    CORNER = "corner"
    CROP = "crop"


@dataclass(frozen=True, slots=True)
class View:
    """A way to show an image to a model; without ``canvas``, ``(width, height)``, the stored image's own size."""

    fit: Fit = Fit.SQUASH
    canvas: Size | None = None

    @classmethod
    def parse(cls, words: str) -> View:
        """A view written ``crop:518x518`` or ``squash``. Raises ``ValueError`` for anything else."""
        parts = _WORDS.fullmatch(words.strip())
        if parts is None or parts["fit"] not in list(Fit):
            raise ValueError(f"expected one of {', '.join(Fit)}, with a canvas as in crop:518x518, got {words!r}")
        canvas = None if parts["width"] is None else (int(parts["width"]), int(parts["height"]))
        if canvas is not None and not all(1 <= side <= MAX_SIDE for side in canvas):
            raise ValueError(f"expected a canvas of 1 to {MAX_SIDE} pixels a side, got {words!r}")
        return cls(Fit(parts["fit"]), canvas)

    def __str__(self) -> str:
        return self.fit.value if self.canvas is None else f"{self.fit.value}:{self.canvas[0]}x{self.canvas[1]}"

    def frame(self, stored: Size, pixel_aspect: float = 1.0, part: Part | None = None) -> Frame:
        """The frame of an image of size ``stored``.

        Args:
            stored: ``(width, height)`` of the image.
            pixel_aspect: height of a stored pixel divided by its width. Our own models see an image with oblong pixels
                undistorted, but for ``squash``; processors of other models take pixels as square.
            part: ``(left, top, width, height)`` in stored pixels of what is fitted to the canvas; without, all of it.
        """
        canvas = self.canvas or stored
        left, top, width, height = part or (0.0, 0.0, *stored)
        across, down = canvas[0] / width, canvas[1] / height
        if self.fit is Fit.SQUASH:
            return Frame(stored, canvas, (across, down), (-left * across, -top * down))
        unit = (max if self.fit is Fit.CROP else min)(across, canvas[1] / (height * pixel_aspect))
        scale = unit, unit * pixel_aspect
        middle = 0.0 if self.fit is Fit.CORNER else 0.5
        room = (canvas[0] - width * scale[0]) * middle, (canvas[1] - height * scale[1]) * middle
        return Frame(stored, canvas, scale, (room[0] - left * scale[0], room[1] - top * scale[1]))


def patch_multiple(stored: Size, factor: int = 28, least: int = 56 * 56, most: int = 16384 * 28 * 28) -> Size:
    """The size ``(width, height)`` to which Qwen2-VL and Qwen2.5-VL resize an image of size ``stored``.

    Both sides are multiples of ``factor`` (patch 14 times merge 2) and the area lies between ``least`` and ``most``
    pixels; the limits are those of the released processors and of ``qwen_vl_utils``, and users do set others. The rule
    is ``smart_resize`` of transformers (models/qwen2_vl), written anew. Raises ``ValueError`` for an image more than
    200 times as long as wide, which those processors refuse.
    """
    width, height = stored
    if max(stored) > 200 * min(stored):
        raise ValueError(f"expected sides with a ratio of at most 200, got {stored}")

    def sides(turn: Callable[[float], int], times: float = 1.0, over: float = 1.0) -> Size:
        return turn(width * times / over / factor) * factor, turn(height * times / over / factor) * factor

    size = sides(round)
    if size[0] * size[1] > most:
        shrunk = sides(math.floor, over=math.sqrt(width * height / most))
        return max(factor, shrunk[0]), max(factor, shrunk[1])
    if size[0] * size[1] < least:
        return sides(math.ceil, times=math.sqrt(least / (width * height)))
    return size
