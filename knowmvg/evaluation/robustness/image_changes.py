"""Changes of an image, each with the exact map of its boxes, from a generator that is seeded by study and change.

Fills are 0 (air, as outside a collimated field). Grey changes leave the boxes where they are.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from knowmvg.core.boxes import FloatArray, as_boxes
from knowmvg.core.frames import Frame
from knowmvg.core.records import Radiograph

Pixels: TypeAlias = NDArray[np.float32]
Move: TypeAlias = Callable[[ArrayLike], FloatArray]
"""Boxes ``[n, 4]`` of the stored image to boxes of the changed one, not cut to it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A changed image and where its boxes went."""

    image: Radiograph
    move: Move


@dataclass(frozen=True, slots=True)
class ImageChange:
    """A named change; ``weak`` and ``strong`` of one name draw the same direction or noise."""

    name: str
    strength: str
    apply: Callable[[Radiograph, np.random.Generator], Shown]


@dataclass(frozen=True, slots=True)
class Affine:
    """``moved = matrix @ (x, y) + offset`` in pixels, corners counted as in ``core.boxes``."""

    matrix: FloatArray
    offset: FloatArray

    @classmethod
    def rotation(cls, degrees: float, size: tuple[int, int], pixel_aspect: float = 1.0) -> Affine:
        """Turn an image of ``size`` ``(width, height)`` about its centre, from its x towards its y axis.

        The turn is rigid on the patient: with oblong pixels (``pixel_aspect``, height by width) it is no pure rotation
        of pixel coordinates.
        """
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        scale = np.diag([1.0, pixel_aspect])
        matrix = np.linalg.inv(scale) @ np.array([[c, -s], [s, c]]) @ scale
        centre = np.array(size, dtype=np.float64) / 2
        return cls(matrix, centre - matrix @ centre)

    def boxes(self, boxes: ArrayLike) -> FloatArray:
        """The smallest upright boxes ``[n, 4]`` round the moved boxes: larger than them where they are turned."""
        b = as_boxes(boxes)
        corners = b[:, [[0, 1], [2, 1], [2, 3], [0, 3]]] @ self.matrix.T + self.offset  # [n, 4 corners, 2]
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)

    def render(self, pixels: Pixels) -> Pixels:
        """The moved image ``[H, W]``, bilinear, 0 where nothing came from."""
        inverse = np.linalg.inv(self.matrix)
        rows = np.concatenate([inverse, -(inverse @ self.offset)[:, None]], axis=1)
        height, width = pixels.shape
        source = Image.fromarray(np.ascontiguousarray(pixels))
        moved = source.transform(
            (width, height), Image.Transform.AFFINE, rows.ravel().tolist(), Image.Resampling.BILINEAR
        )
        return np.array(moved, dtype=np.float32)


def crop(kept: float) -> ImageChange:
    """A window of ``kept`` times the width and height, anywhere in the image."""

    def apply(image: Radiograph, rng: np.random.Generator) -> Shown:
        (width, height), place = image.size, rng.uniform(size=2)
        size = (max(1, round(kept * width)), max(1, round(kept * height)))
        left, top = round(place[0] * (width - size[0])), round(place[1] * (height - size[1]))
        frame = Frame(image.size, size, (1.0, 1.0), (-left, -top))
        return Shown(_with(image, frame.render(image.pixels)), frame.to_canvas)

    return ImageChange("crop", f"{kept:.0%} of each side kept", apply)


def rotation(degrees: float) -> ImageChange:
    """A turn by ``degrees`` to either side; the box is the upright box of the turned box."""

    def apply(image: Radiograph, rng: np.random.Generator) -> Shown:
        affine = Affine.rotation(degrees * _sign(rng), image.size, image.pixel_aspect)
        return Shown(_with(image, affine.render(image.pixels)), affine.boxes)

    return ImageChange("rotation", f"{degrees:g}° either way", apply)


def brightness(shift: float) -> ImageChange:
    """All pixels brighter or darker by ``shift`` of the range, cut to it."""
    return _grey("brightness", f"±{shift:g}", lambda pixels, rng: pixels + shift * _sign(rng))


def gamma(exponent: float) -> ImageChange:
    """Pixels to the power ``exponent`` or its inverse."""
    return _grey("gamma", f"{exponent:g} or 1/{exponent:g}", lambda pixels, rng: pixels**exponent ** _sign(rng))


def noise(deviation: float) -> ImageChange:
    """Gaussian noise of a standard ``deviation`` in shares of the range, one draw a pixel, cut to the range."""
    return _grey(
        "noise", f"standard deviation {deviation:g}", lambda p, rng: p + deviation * rng.standard_normal(p.shape)
    )


def jpeg(quality: int) -> ImageChange:
    """Through an 8-bit JPEG file of a ``quality`` (Pillow's scale, 1 to 95)."""

    def through(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        stream = io.BytesIO()
        Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)).save(stream, "JPEG", quality=quality)
        with Image.open(stream) as image:
            return np.asarray(image, dtype=np.float32) / np.float32(255)

    return _grey("JPEG", f"quality {quality}", through)


def _grey(
    name: str, strength: str, change: Callable[[Pixels, np.random.Generator], NDArray[np.floating]]
) -> ImageChange:
    def apply(image: Radiograph, rng: np.random.Generator) -> Shown:
        return Shown(_with(image, np.clip(change(image.pixels, rng), 0, 1)), as_boxes)

    return ImageChange(name, strength, apply)


def _with(image: Radiograph, pixels: NDArray[np.floating]) -> Radiograph:
    return Radiograph(np.asarray(pixels, dtype=np.float32), image.pixel_aspect, image.warnings)


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.uniform() < 0.5 else -1


IMAGE_CHANGES = (
    *(crop(0.9), crop(0.75)),
    *(rotation(3), rotation(8)),
    *(brightness(0.1), brightness(0.25)),
    *(gamma(1.3), gamma(2)),
    *(noise(0.02), noise(0.08)),
    *(jpeg(40), jpeg(10)),
)
