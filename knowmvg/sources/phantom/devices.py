"""What is not the patient: monitoring leads, tubes and lines, sternal wires, side markers, collimation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowmvg.core.records import Side
from knowmvg.sources.phantom.anatomy import Patient, View
from knowmvg.sources.phantom.canvas import Canvas, Image, tube

Cloud = tuple[NDArray[np.float64], NDArray[np.float64]]

#: Strokes of the side markers in a unit square, y downwards.
GLYPHS: dict[Side, list[list[tuple[float, float]]]] = {
    Side.LEFT: [[(0.1, 0.0), (0.1, 1.0), (0.7, 1.0)]],
    Side.RIGHT: [
        [(0.1, 1.0), (0.1, 0.0), (0.55, 0.02), (0.7, 0.25), (0.55, 0.5), (0.1, 0.5)],
        [(0.35, 0.5), (0.75, 1.0)],
    ],
}


def _curve(rng: np.random.Generator, points: list[tuple[float, float]], wiggle: float, z: float) -> NDArray[np.float64]:
    """A smooth path through rough way points, with a little slack."""
    rough = np.asarray(points, dtype=float)
    t = np.linspace(0, len(rough) - 1, 60)
    path = np.stack([np.interp(t, np.arange(len(rough)), rough[:, k]) for k in range(2)], axis=1)
    path += np.cumsum(rng.normal(0, wiggle, path.shape), axis=0)
    path = ndimage.gaussian_filter1d(path, 5.0, axis=0, mode="nearest")
    return np.concatenate([path, np.full((60, 1), z)], axis=1)


def _metal(cloud: Cloud, density: float) -> Cloud:
    return cloud[0], cloud[1] * density


def leads(rng: np.random.Generator, patient: Patient, step: float) -> list[Cloud]:
    """Electrodes on the chest with their wires to the edge of the image."""
    clouds = []
    for _ in range(int(rng.integers(2, 5))):
        sign = rng.choice([-1.0, 1.0])
        x, y = sign * rng.uniform(5.0, 13.0), rng.uniform(-6.0, 14.0)
        exit_x, exit_y = sign * rng.uniform(4.0, 24.0), rng.choice([-18.0, 26.0])
        path = _curve(rng, [(x, y), (x + sign * rng.uniform(-3, 5), (y + exit_y) / 2), (exit_x, exit_y)], 0.18, 10.0)
        clouds.append(_metal(tube(path, 0.07, step=step), 5.0))
        ring = np.linspace(0, 2 * np.pi, 24)
        size = rng.uniform(0.3, 0.5)
        circle = np.stack([x + size * np.cos(ring), y + size * np.sin(ring), np.full(24, 10.0)], axis=1)
        clouds.append(_metal(tube(circle, 0.1, step=step), 3.5))
        clouds.append(_metal(tube(np.array([(x - 0.12, y, 10.0), (x + 0.12, y, 10.0)]), 0.16, step=step / 2), 4.0))
    return clouds


def lines(rng: np.random.Generator, patient: Patient, step: float) -> list[Cloud]:
    """Central venous line, tracheal tube, gastric tube: each by chance."""
    s = patient.scale
    clouds = []
    if rng.random() < 0.55:
        sign = rng.choice([-1.0, 1.0])
        tip = (-1.9 * s, rng.uniform(0.0, 4.5) * s)
        route = [(sign * 12.0, -5.0), (sign * 5.5, -5.6), (sign * 2.0 - 0.8, -4.0), (-1.9 * s, -2.0), tip]
        clouds.append(_metal(tube(_curve(rng, route, 0.03, 4.0), 0.09, step=step), 2.4))
    if rng.random() < 0.45:
        path = _curve(rng, [(0.3, -20.0), (-0.1, -10.0), (-0.2, rng.uniform(-5.0, -2.0) * s)], 0.01, 0.0)
        clouds.append(_metal(tube(path, 0.42, step=step, wall=0.09), 1.0))
        clouds.append(_metal(tube(path + np.array([0.3, 0.0, 0.0]), 0.05, step=step), 4.0))
    if rng.random() < 0.5:
        route = [(0.4, -20.0), (0.2, -6.0), (0.5, 4.0), (1.2, 11.0), (4.5, 15.0)]
        clouds.append(_metal(tube(_curve(rng, route, 0.04, -2.0), 0.16, step=step, wall=0.07), 2.2))
    return clouds


def sternal_wires(rng: np.random.Generator, patient: Patient, step: float) -> list[Cloud]:
    """Loops of steel that close a split sternum."""
    ring = np.linspace(0.3, 2 * np.pi, 20)
    clouds = []
    for k in range(int(rng.integers(4, 7))):
        x, y = rng.normal(0.2, 0.15), (-2.5 + 2.3 * k) * patient.scale + rng.normal(0, 0.2)
        loop = np.stack([x + 0.95 * np.cos(ring), y + 0.38 * np.sin(ring), np.full(20, 8.0)], axis=1)
        clouds.append(_metal(tube(loop, 0.055, step=step / 1.5), 9.0))
    return clouds


def side_marker(rng: np.random.Generator, view: View, step: float) -> list[Cloud]:
    """A lead letter: ``R`` by the patient's right, which is the image's left, or ``L`` by the left."""
    side = Side.LEFT if rng.random() < 0.6 else Side.RIGHT
    sign = 1.0 if side is Side.LEFT else -1.0
    size = rng.uniform(0.9, 1.6)
    x = view.centre_x + sign * view.field_cm * rng.uniform(0.37, 0.44)
    y = view.centre_y - view.field_cm * rng.uniform(0.2, 0.46)
    tilt = rng.normal(0, 0.12)
    clouds = []
    for stroke in GLYPHS[side]:
        at = (np.asarray(stroke) - 0.5) * size
        points = [
            x + at[:, 0] * np.cos(tilt) - at[:, 1] * np.sin(tilt),
            y + at[:, 0] * np.sin(tilt) + at[:, 1] * np.cos(tilt),
        ]
        clouds.append(_metal(tube(np.stack([*points, np.zeros(len(at))], axis=1), 0.11, step=step / 1.5), 14.0))
    return clouds


def foreign_bodies(canvas: Canvas, patient: Patient, view: View) -> Image:
    """Line integral (cm of compact bone with the same attenuation) of everything that is not the patient."""
    rng = np.random.default_rng(view.detail)
    step = canvas.pitch * 0.8
    monitored, lined, wired, marked = rng.random(4) < np.array(
        [0.55 if view.supine else 0.1, 0.4 if view.supine else 0.05, 0.07, 0.55]
    )
    clouds: list[Cloud] = []
    for wanted, make in ((monitored, leads), (lined, lines), (wired, sternal_wires)):
        clouds += make(rng, patient, step) if wanted else []
    clouds += side_marker(rng, view, step) if marked else []
    if not clouds:
        return np.zeros(canvas.x.shape, np.float32)
    return canvas.splat(np.concatenate([p for p, _ in clouds]), np.concatenate([v for _, v in clouds]))


def aperture(size: int, view: View) -> Image:
    """Share of the beam that the collimator lets through, ``[H, W]``: 1 inside, 0 beyond its edges."""
    rng = np.random.default_rng(view.detail + 2)
    image = np.ones((size, size), np.float32)
    axis = (np.arange(size) + 0.5) / size
    for edge in range(4):
        if rng.random() >= view.collimated:
            continue
        inset, lean = rng.uniform(0.0, 0.045), rng.normal(0, 0.012)
        across = axis if edge % 2 == 0 else 1.0 - axis
        distance = (across[:, None] if edge < 2 else across[None, :]) - inset
        distance = distance + lean * ((axis[None, :] if edge < 2 else axis[:, None]) - 0.5)
        image *= np.clip(distance * 256.0 / 1.5 + 0.5, 0.0, 1.0).astype(np.float32)
    return image
