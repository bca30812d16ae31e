"""A radiograph on a model's canvas: the one place where stored pixels become model input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.boxtext.views import Fit, View
from knowmvg.core.frames import Frame
from knowmvg.core.records import Radiograph


def on_canvas(image: Radiograph, side: int, fit: Fit = Fit.LETTERBOX) -> tuple[NDArray[np.float32], Frame]:
    """The radiograph on a square canvas ``[side, side]`` in ``[0, 1]``, letterboxed unless ``fit`` says else.

    Returns canvas and frame.
    """
    if fit is Fit.LETTERBOX:
        frame = Frame.letterbox(image.size, (side, side), image.pixel_aspect)
    else:
        frame = View(fit, (side, side)).frame(image.size)
    return in_frame(image, frame), frame


def in_frame(image: Radiograph, frame: Frame) -> NDArray[np.float32]:
    """The radiograph on the canvas of a frame, in ``[0, 1]``.

    Grey values are stretched so that the 1st and 99th percentile of the image become 0 and 1: radiographs come with
    any window, and the collimation border and burned-in letters should not decide the contrast of the lungs.
    Padding is 0.
    """
    step = max(1, min(image.pixels.shape) // 256)  # percentiles of a sample: a large image need not be sorted whole
    low, high = np.percentile(image.pixels[::step, ::step], (1, 99))
    canvas = frame.render(image.pixels, fill=float(low))
    stretched: NDArray[np.float32] = np.clip((canvas - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    return stretched
