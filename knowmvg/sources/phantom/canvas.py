"""The image plane: where a point of the patient falls, and line integrals of bodies along the rays.

Smooth bodies are given as chord lengths on the pixel grid. Thin or curved ones (ribs, vessels, wires) are sampled as
points with a volume; dropping the volumes on the pixels and dividing by the pixel's area gives the same line integral
in cm, overlaps and tangential views included.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowmvg.sources.phantom.anatomy import View

Image: TypeAlias = NDArray[np.float32]
Window: TypeAlias = tuple[slice, slice]


class Canvas:
    """A square grid of ``size`` pixels over a view's field; ``x`` and ``y`` ``[H, W]`` are patient cm at depth 0."""

    def __init__(self, view: View, size: int) -> None:
        self.view, self.size = view, size
        self.pitch = view.field_cm / size
        self._cos, self._sin = np.float32(np.cos(view.tilt)), np.float32(np.sin(view.tilt))
        axis = ((np.arange(size) + 0.5) * self.pitch - view.field_cm / 2).astype(np.float32)
        u, v = axis[None, :], axis[:, None]
        self.x: Image = self._cos * u + self._sin * v + np.float32(view.centre_x)
        self.y: Image = -self._sin * u + self._cos * v + np.float32(view.centre_y)
        # Divergent beam: what lies nearer to the tube is magnified about the central ray.
        self.magnification = 0.0065 if view.supine else -0.0045
        self._yaw = np.float32(np.sin(view.yaw))

    def shift(self, z: float) -> float:
        """How far to the image's right a structure at depth ``z`` cm moves because the patient is rotated."""
        return float(self._yaw) * z

    def to_pixels(self, points: NDArray[np.float64]) -> tuple[Image, Image]:
        """Column and row (continuous pixels) of patient points ``[n, 3]`` in cm."""
        px, py, z = points.astype(np.float32).T
        gain = np.float32(1.0) + np.float32(self.magnification) * z
        x = (px + self._yaw * z - np.float32(self.view.centre_x)) * gain
        y = (py - np.float32(self.view.centre_y)) * gain
        half, pitch = np.float32(self.view.field_cm / 2), np.float32(self.pitch)
        return (self._cos * x - self._sin * y + half) / pitch, (self._sin * x + self._cos * y + half) / pitch

    def window(self, x1: float, y1: float, x2: float, y2: float) -> Window:
        """The smallest window of pixels that holds a rectangle in patient cm (empty where it is off the image)."""
        corners = np.array([(x, y, 0.0) for x in (x1, x2) for y in (y1, y2)])
        column, row = self.to_pixels(corners)
        low = np.clip(np.floor([row.min(), column.min()]).astype(int), 0, self.size)
        high = np.clip(np.ceil([row.max(), column.max()]).astype(int) + 1, 0, self.size)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    def splat(self, points: NDArray[np.float64], volume: NDArray[np.float64]) -> Image:
        """Line integral ``[H, W]`` in cm of points ``[n, 3]`` (cm) that carry ``volume`` ``[n]`` (cm^3)."""
        column, row = self.to_pixels(points)
        column, row = column - np.float32(0.5), row - np.float32(0.5)
        inside = (column >= 0) & (row >= 0) & (column < self.size - 1) & (row < self.size - 1)
        column, row = column[inside], row[inside]
        depth = volume[inside].astype(np.float32) / np.float32(self.pitch**2)
        i, j = row.astype(np.intp), column.astype(np.intp)
        fi, fj = row - i.astype(np.float32), column - j.astype(np.float32)
        index, n = i * self.size + j, self.size * self.size
        lower, upper = depth * fi, depth * (1 - fi)
        image = np.bincount(index, upper * (1 - fj), n)
        image += np.bincount(index + 1, upper * fj, n)
        image += np.bincount(index + self.size, lower * (1 - fj), n)
        image += np.bincount(index + self.size + 1, lower * fj, n)
        return image.reshape(self.size, self.size).astype(np.float32)

    def noise(self, rng: np.random.Generator, scale_cm: float, window: Window | None = None) -> Image:
        """Smooth random field of mean 0 and variance about 1 that changes over ``scale_cm``, the same at every size."""
        cells = int(np.ceil(64.0 / scale_cm)) + 3
        lattice = rng.standard_normal((cells, cells)).astype(np.float32)
        lattice = ndimage.gaussian_filter(lattice, 0.7, mode="wrap") * np.float32(2.3)
        where = window or (slice(None), slice(None))
        v, u = (self.y[where] + 32.0) / np.float32(scale_cm), (self.x[where] + 32.0) / np.float32(scale_cm)
        i, j = np.floor(v), np.floor(u)
        v, u = v - i, u - j
        index = (i.astype(np.int32) % cells) * cells + j.astype(np.int32) % cells
        # Bilinear interpolation; the lattice repeats its first row and column so that it continues at its edges.
        flat, right, below = lattice.ravel(), np.roll(lattice, -1, 1).ravel(), np.roll(lattice, -1, 0)
        top = flat[index] * (1 - u) + right[index] * u
        low = below.ravel()[index] * (1 - u) + np.roll(below, -1, 1).ravel()[index] * u
        field: Image = top * (1 - v) + low * v
        return field


def tube(
    path: NDArray[np.float64], radius: NDArray[np.float64] | float, *, step: float, wall: float = 0.0, core: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and volumes of a tube along ``path`` ``[n, 3]`` cm, sampled every ``step`` cm.

    ``wall`` 0 is a solid tube; otherwise a shell of that thickness whose inside has the density ``core``.
    """
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    n = max(int(along[-1] / step), 2)
    at = (np.arange(n) + 0.5) / n * along[-1]
    centre = np.stack([np.interp(at, along, path[:, k]) for k in range(3)], axis=1)
    r = np.interp(at, along, np.broadcast_to(radius, along.shape))
    tangent = np.gradient(centre, axis=0)[:, :2]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    m = max(int(np.ceil(2 * r.max() / step)), 3)
    offset = ((np.arange(m) + 0.5) / m * 2 - 1)[None, :] * r[:, None]
    chord = 2 * np.sqrt(np.maximum(r[:, None] ** 2 - offset**2, 0.0))
    if wall > 0:
        inner = np.maximum(r - wall, 0.0)[:, None]
        chord -= (1.0 - core) * 2 * np.sqrt(np.maximum(inner**2 - offset**2, 0.0))
    points = np.repeat(centre[:, None, :], m, axis=1)
    points[:, :, :2] += offset[..., None] * normal[:, None, :]
    volume = chord * (2 * r / m)[:, None] * (along[-1] / n)
    return points.reshape(-1, 3), volume.ravel()
