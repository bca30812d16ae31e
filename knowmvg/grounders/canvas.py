"""A radiograph on a model's canvas: the one place where stored pixels become model input."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.boxtext.views import Fit, View
from knowmvg.core.frames import Frame
from knowmvg.core.records import Radiograph, Study


@dataclass(frozen=True, slots=True)
class Drawing:
    """``image`` letterboxed on a canvas ``[side, side]`` in ``[0, 1]``, and the frame of it."""

    image: Radiograph
    canvas: NDArray[np.float32]
    frame: Frame


@dataclass(frozen=True, slots=True)
class DrawnStudy(Study):
    """A study with a drawing that was made before it is asked for."""

    drawing: Drawing | None = None


def drawn(study: Study, side: int) -> DrawnStudy:
    """The study with its image on a canvas of that side."""
    same = {field.name: getattr(study, field.name) for field in fields(Study)}
    return DrawnStudy(**same, drawing=Drawing(study.image, *on_canvas(study.image, side)))


def canvas_of(study: Study, side: int) -> tuple[NDArray[np.float32], Frame]:
    """Canvas and frame of a study's image: those that were drawn for this image and side, or new ones."""
    ready = study.drawing if isinstance(study, DrawnStudy) else None
    if ready is not None and ready.image is study.image and ready.canvas.shape == (side, side):
        return ready.canvas, ready.frame
    return on_canvas(study.image, side)


def on_canvas(image: Radiograph, side: int, fit: Fit = Fit.LETTERBOX) -> tuple[NDArray[np.float32], Frame]:
    """The radiograph on a square canvas ``[side, side]`` in ``[0, 1]``, letterboxed unless ``fit`` says else.

    Returns canvas and frame.
    """
    frame = frame_of(image, side, fit)
    return in_frame(image, frame), frame


def frame_of(image: Radiograph, side: int, fit: str) -> Frame:
    """The frame of the radiograph on a square canvas of ``side`` pixels, fitted to it as a ``Fit`` says."""
    return View(Fit(fit), (side, side)).frame(image.size, image.pixel_aspect)


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
