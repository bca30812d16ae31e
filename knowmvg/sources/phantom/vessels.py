"""Pulmonary vessels and airways: trees that branch and taper from the hila into the lungs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.records import Side
from knowmvg.sources.phantom.anatomy import Patient
from knowmvg.sources.phantom.canvas import Canvas, Image, tube
from knowmvg.sources.phantom.cavity import SIGN, Lung

Array = NDArray[np.float64]


def tree(rng: np.random.Generator, lung: Lung, step: float, gain: float) -> tuple[Array, Array]:
    """Points and volumes of the vessels of one lung, arteries and veins alike."""
    sign = SIGN[lung.side]
    hilum = np.array([lung.hilum[0], lung.hilum[1], 0.0])
    # First branches: upper lobe, middle zone, lower lobe; the lower ones are larger (upright blood flow).
    angle = np.deg2rad(np.array([-78, -55, -32, -8, 14, 34, 50, 64, 78, 90]) + rng.normal(0, 7, 10))
    radius = np.array([0.36, 0.36, 0.28, 0.28, 0.32, 0.4, 0.46, 0.48, 0.42, 0.3]) * gain * rng.uniform(0.8, 1.2, 10)
    z = rng.normal(0, 0.45, 10)
    direction = np.stack([sign * np.cos(angle), np.sin(angle), z], axis=1)
    start = hilum + np.stack([sign * rng.uniform(-0.8, 0.6, 10), 2.2 * np.sin(angle), rng.normal(0, 1, 10)], axis=1)
    reach = np.where(angle > 0.3, 0.33 * (lung.dome - lung.hilum[1]), 0.30 * (lung.hilum[1] - lung.apex))
    length = np.clip(reach, 1.6, 4.2) * rng.uniform(0.8, 1.2, 10)
    points, volumes = [], []
    for generation in range(7):
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        end, cloud = _segments(rng, start, direction, length, radius, step)
        points.append(cloud[0])
        volumes.append(cloud[1])
        # Every segment splits into two: a stronger one that keeps its course and a weaker one that leaves it.
        n = len(start)
        spread = rng.normal(0, 1, (2, n, 3)) * np.array([0.22, 0.5])[:, None, None]
        direction = (direction[None] + spread).reshape(-1, 3)
        radius = np.concatenate([radius * 0.85, radius * 0.66])
        length = np.concatenate([length * 0.88, length * 0.7]) * rng.uniform(0.75, 1.2, 2 * n)
        start = np.concatenate([end, end])
        keep = (radius > 0.045) & (length > 0.25)
        start, direction, radius, length = start[keep], direction[keep], radius[keep], length[keep]
        if generation == 6 or not len(start):
            break
    return np.concatenate(points), np.concatenate(volumes)


def _segments(
    rng: np.random.Generator, start: Array, direction: Array, length: Array, radius: Array, step: float
) -> tuple[Array, tuple[Array, Array]]:
    """Slightly bent tapering segments: their ends ``[n, 3]``, and their points with volumes."""
    n = len(start)
    bend = rng.normal(0, 0.12, (n, 3))
    samples = max(int(np.ceil(length.max() / (1.3 * step))), 3)
    t = ((np.arange(samples) + 0.5) / samples)[None, :, None]
    path = start[:, None] + (direction[:, None] * t + bend[:, None] * t * t) * length[:, None, None]
    r = radius[:, None] * (1.0 - 0.14 * t[..., 0])
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    m = max(int(np.ceil(2 * radius.max() / step)), 2)
    offset = (np.arange(m) + 0.5) / m * 2 - 1
    points = np.repeat(path[:, :, None], m, axis=2)
    points[..., :2] += (normal[:, None, None] * offset[None, None, :, None]) * r[..., None, None]
    chord = 2 * r[..., None] * np.sqrt(1 - offset**2)
    volume = chord * (2 * r / m)[..., None] * (length / samples)[:, None, None]
    return start + (direction + bend) * length[:, None], (points.reshape(-1, 3), volume.ravel())


def hilum(lung: Lung, step: float, gain: float) -> list[tuple[Array, Array]]:
    """The main pulmonary artery of one side: over the bronchus on the left, in front of it on the right."""
    sign = SIGN[lung.side]
    x, y = lung.hilum
    inner = np.array(
        [
            (sign * 1.2, y - 0.6, 1.0),
            (x, y - 0.2, 0.0),
            (x + sign * 0.9, y + 1.6, -0.5),
            (x + sign * 1.3, y + 4.6, -1.0),
        ]
    )
    upper = np.array([(x - sign * 0.3, y + 0.2, 0.5), (x + sign * 0.5, y - 1.6, 0.5), (x + sign * 1.2, y - 3.6, 0.5)])
    return [
        tube(inner, np.array([1.0, 0.95, 0.75, 0.42]) * gain, step=step),
        tube(upper, np.array([0.7, 0.5, 0.32]) * gain, step=step),
    ]


def pulmonary_vessels(canvas: Canvas, patient: Patient, lungs: dict[Side, Lung]) -> dict[Side, Image]:
    """Line integral (cm of blood) of each lung's vessels; they end where their lung does."""
    step = canvas.pitch * 1.1
    result = {}
    for k, (side, lung) in enumerate(lungs.items()):
        rng = np.random.default_rng(patient.detail + 10 + k)
        parts = [tree(rng, lung, step, patient.vessel_gain), *hilum(lung, step, patient.vessel_gain * patient.scale)]
        points, volume = np.concatenate([p for p, _ in parts]), np.concatenate([v for _, v in parts])
        result[side] = np.float32(1.2) * canvas.splat(points, volume) * np.clip(lung.air / np.float32(3.0), 0.0, 1.0)
    return result


def airways(canvas: Canvas, patient: Patient) -> Image:
    """Line integral (cm of air) of trachea and main bronchi."""
    s, step = patient.scale, canvas.pitch * 0.9
    rng = np.random.default_rng(patient.detail + 12)
    lean = rng.normal(-0.25, 0.35)
    wave = rng.normal(0, 0.15)
    trachea = np.array(
        [
            (0.0, -24.0, 1.5),
            (wave, -12.0 * s, 1.0),
            (lean + wave, -6.0 * s, -0.5),
            (lean, -1.0 * s, -1.5),
            (lean * 0.6, 0.4 * s, -2.0),
        ]
    )
    right = np.array([(lean * 0.6 - 0.3, 0.0, -2.0), (-1.7 * s, 1.9 * s, -2.0), (-2.9 * s, 3.6 * s, -2.0)])
    left = np.array([(lean * 0.6 + 0.3, 0.0, -2.0), (2.2 * s, 1.7 * s, -2.5), (3.7 * s, 2.7 * s, -2.5)])
    parts = [
        tube(trachea, 0.76 * s * rng.uniform(0.85, 1.1), step=step),
        tube(right, np.array([0.7, 0.65, 0.5]) * s, step=step),
        tube(left, np.array([0.6, 0.55, 0.45]) * s, step=step),
    ]
    return canvas.splat(np.concatenate([p for p, _ in parts]), np.concatenate([v for _, v in parts]))
