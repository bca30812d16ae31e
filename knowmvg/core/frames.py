"""Where a pixel of the stored image lies on a model's canvas, and back.

A ``Frame`` is the only way between coordinate systems: it travels beside every tensor that was made from an image, so
that no module has to know how another one resized. Three systems exist:

* stored  - float xyxy in the pixels of the image as it lies in the file (everywhere outside a model);
* canvas  - float xyxy in the pixels of the square or oblong that a model reads;
* grid    - float xyxy in cells of a feature map laid over the whole canvas.

``unit`` coordinates are canvas coordinates divided by the canvas size, in ``[0, 1]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from knowmvg.core import boxes as bx
from knowmvg.core.boxes import FloatArray

Size = tuple[int, int]


def _checked_size(name: str, size: Size) -> Size:
    width, height = int(size[0]), int(size[1])
    if width < 1 or height < 1:
        raise ValueError(f"expected a {name} of at least 1 x 1 pixels, got {size}")
    return width, height


@dataclass(frozen=True, slots=True)
class Frame:
    """An invertible, axis-aligned map ``canvas = scale * stored + offset``.

    Args:
        stored: ``(width, height)`` of the stored image in pixels.
        canvas: ``(width, height)`` of the model's canvas in pixels.
        scale: canvas pixels per stored pixel, ``(x, y)``, both positive.
        offset: canvas position of the stored image's top-left corner, ``(x, y)``.

    Raises:
        ValueError: a size below one pixel, a scale that is not positive and finite, or an offset that is not finite.
    """

    stored: Size
    canvas: Size
    scale: tuple[float, float]
    offset: tuple[float, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stored", _checked_size("stored image", self.stored))
        object.__setattr__(self, "canvas", _checked_size("canvas", self.canvas))
        if not all(np.isfinite(s) and s > 0 for s in self.scale):
            raise ValueError(f"expected a positive, finite scale, got {self.scale}")
        if not all(np.isfinite(o) for o in self.offset):
            raise ValueError(f"expected a finite offset, got {self.offset}")

    @classmethod
    def letterbox(cls, stored: Size, canvas: Size, pixel_aspect: float = 1.0) -> Frame:
        """The largest picture of the stored image that fits the canvas undistorted, centred; the rest is padding.

        ``pixel_aspect`` is the physical height of a stored pixel divided by its width (DICOM's PixelAspectRatio): an
        image with oblong pixels is undistorted on the canvas, while its boxes stay in stored pixels.
        """
        (w, h), (cw, ch) = _checked_size("stored image", stored), _checked_size("canvas", canvas)
        if not (np.isfinite(pixel_aspect) and pixel_aspect > 0):
            raise ValueError(f"expected a positive pixel aspect, got {pixel_aspect}")
        unit = min(cw / w, ch / (h * pixel_aspect))
        scale = (unit, unit * pixel_aspect)
        return cls(stored, canvas, scale, ((cw - w * scale[0]) / 2, (ch - h * scale[1]) / 2))

    @classmethod
    def squash(cls, stored: Size, canvas: Size) -> Frame:
        """The stored image stretched over the whole canvas; the aspect ratio is not kept (what the lineage did)."""
        (w, h), (cw, ch) = _checked_size("stored image", stored), _checked_size("canvas", canvas)
        return cls(stored, canvas, (cw / w, ch / h), (0.0, 0.0))

    def on(self, canvas: Size) -> Frame:
        """The same picture on a canvas of another resolution ``(width, height)``: a mask's or a feature map's."""
        kx, ky = canvas[0] / self.canvas[0], canvas[1] / self.canvas[1]
        scale, offset = (self.scale[0] * kx, self.scale[1] * ky), (self.offset[0] * kx, self.offset[1] * ky)
        return Frame(self.stored, canvas, scale, offset)

    @property
    def _scale4(self) -> FloatArray:
        return np.array([*self.scale, *self.scale], dtype=np.float64)

    @property
    def _offset4(self) -> FloatArray:
        return np.array([*self.offset, *self.offset], dtype=np.float64)

    def to_canvas(self, boxes: ArrayLike) -> FloatArray:
        """Stored boxes ``[n, 4]`` in canvas pixels."""
        return bx.as_boxes(boxes) * self._scale4 + self._offset4

    def to_stored(self, boxes: ArrayLike, *, clip: bool = True) -> FloatArray:
        """Canvas boxes ``[n, 4]`` in stored pixels, cut to the stored image unless ``clip`` is false."""
        stored = (bx.as_boxes(boxes) - self._offset4) / self._scale4
        return bx.clip(stored, self.stored) if clip else stored

    def to_unit(self, boxes: ArrayLike) -> FloatArray:
        """Stored boxes ``[n, 4]`` as fractions of the canvas."""
        return self.to_canvas(boxes) / np.array([*self.canvas, *self.canvas], dtype=np.float64)

    def from_unit(self, boxes: ArrayLike, *, clip: bool = True) -> FloatArray:
        """Boxes ``[n, 4]`` given as fractions of the canvas, in stored pixels."""
        return self.to_stored(bx.as_boxes(boxes) * np.array([*self.canvas, *self.canvas], dtype=np.float64), clip=clip)

    def to_grid(self, boxes: ArrayLike, grid: Size) -> FloatArray:
        """Stored boxes ``[n, 4]`` in cells of a ``grid`` ``(columns, rows)`` that covers the canvas."""
        columns, rows = _checked_size("grid", grid)
        return self.to_unit(boxes) * np.array([columns, rows, columns, rows], dtype=np.float64)

    def from_grid(self, boxes: ArrayLike, grid: Size, *, clip: bool = True) -> FloatArray:
        """Boxes ``[n, 4]`` in cells of a ``grid`` ``(columns, rows)``, in stored pixels."""
        columns, rows = _checked_size("grid", grid)
        unit = bx.as_boxes(boxes) / np.array([columns, rows, columns, rows], dtype=np.float64)
        return self.from_unit(unit, clip=clip)

    def render(self, pixels: NDArray[np.generic], fill: float = 0.0) -> NDArray[np.float32]:
        """The stored image ``[H, W]`` resampled onto the canvas ``[h, w]`` as float32; outside it is ``fill``.

        Area-weighted when shrinking, bilinear when growing. Raises ``ValueError`` when ``pixels`` is not of the stored
        size: it belongs to another frame.
        """
        if pixels.shape != (self.stored[1], self.stored[0]):
            raise ValueError(f"expected pixels [H, W] = {(self.stored[1], self.stored[0])}, got {pixels.shape}")
        return self._resample(pixels, self._inverse_affine(), self.canvas, fill, shrink=max(1 / s for s in self.scale))

    def render_back(self, canvas: NDArray[np.generic], fill: float = 0.0) -> NDArray[np.float32]:
        """A map over the whole canvas, of any resolution ``[h, w]`` (a feature grid, say), in stored ``[H, W]``.

        Area-weighted when shrinking, bilinear when growing.
        """
        if canvas.ndim != 2 or 0 in canvas.shape:
            raise ValueError(f"expected a map of shape [h, w], got {canvas.shape}")
        rows, columns = canvas.shape
        kx, ky = columns / self.canvas[0], rows / self.canvas[1]
        affine = (self.scale[0] * kx, 0.0, self.offset[0] * kx, 0.0, self.scale[1] * ky, self.offset[1] * ky)
        return self._resample(canvas, affine, self.stored, fill, shrink=max(affine[0], affine[4]))

    def _inverse_affine(self) -> tuple[float, float, float, float, float, float]:
        return (
            1 / self.scale[0],
            0.0,
            -self.offset[0] / self.scale[0],
            0.0,
            1 / self.scale[1],
            -self.offset[1] / self.scale[1],
        )

    @staticmethod
    def _resample(
        source: NDArray[np.generic], affine: tuple[float, ...], size: Size, fill: float, shrink: float
    ) -> NDArray[np.float32]:
        """Resample with PIL: ``affine`` maps an output pixel to a source position; both count from pixel corners."""
        image = Image.fromarray(np.ascontiguousarray(source, dtype=np.float32))
        width, height = size
        ax, _, cx, _, ay, cy = affine
        if shrink > 1:  # PIL's resize integrates over the source area; its affine transform would alias
            left, top = max(0.0, -cx / ax), max(0.0, -cy / ay)
            right = min(float(width), (image.width - cx) / ax)
            bottom = min(float(height), (image.height - cy) / ay)
            x0, y0, x1, y1 = round(left), round(top), round(right), round(bottom)
            x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
            region = (
                min(max(x0 * ax + cx, 0.0), image.width - 1e-3),
                min(max(y0 * ay + cy, 0.0), image.height - 1e-3),
                min(x1 * ax + cx, float(image.width)),
                min(y1 * ay + cy, float(image.height)),
            )
            out = np.full((height, width), fill, dtype=np.float32)
            piece = image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=region)
            out[y0:y1, x0:x1] = np.asarray(piece)
            return out
        moved = image.transform(size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR, fillcolor=fill)
        return np.array(moved, dtype=np.float32)
