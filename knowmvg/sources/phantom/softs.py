"""What else shows on a radiograph of the chest: breasts, muscle folds, gas in stomach and colon."""

from __future__ import annotations

import numpy as np

from knowmvg.sources.phantom.anatomy import Patient, View
from knowmvg.sources.phantom.canvas import Canvas, Image
from knowmvg.sources.phantom.cavity import ball


def breasts(canvas: Canvas, patient: Patient, view: View) -> Image:
    """Depth (cm) of both breasts: crisp below, fading upwards; lying down they spread to the sides."""
    image = np.zeros(canvas.x.shape, np.float32)
    if patient.breast <= 0:
        return image
    rng = np.random.default_rng(patient.detail + 30)
    size, s = patient.breast, patient.scale
    for sign in (-1.0, 1.0):
        cx = sign * s * (7.4 + 1.0 * size + (1.6 if view.supine else 0.0)) + rng.normal(0, 0.4) + canvas.shift(9.0)
        cy = s * (5.4 + 2.6 * size) + rng.normal(0, 0.5)
        a, b = s * (4.6 + 2.4 * size), s * (3.0 + 2.6 * size)
        window = canvas.window(cx - a, cy - 2.4 * b, cx + a, cy + b)
        dx, dy = (canvas.x[window] - cx) / a, (canvas.y[window] - cy) / b
        dy = np.where(dy < 0, dy / 2.3, dy)
        inside = np.maximum(1.0 - dx * dx - dy * dy, 0.0)
        edge = np.sqrt(inside)
        image[window] += (0.55 * edge + 0.45 * inside) * np.float32((1.2 + 3.6 * size) * s)
    return image


def muscle_folds(canvas: Canvas, patient: Patient) -> Image:
    """Depth (cm) of the pectoral muscles and the folds of the armpits, with the marbling of fat between muscles."""
    rng = np.random.default_rng(patient.detail + 31)
    s = patient.scale
    bulk = (1.0 if patient.female else 1.9) * rng.uniform(0.6, 1.2)
    image = np.zeros(canvas.x.shape, np.float32)
    for sign in (-1.0, 1.0):
        x = canvas.x * np.float32(sign)
        lower = np.float32(3.6 * s + rng.normal(0, 0.5)) - np.float32(0.42) * (x - np.float32(6.0 * s))
        t = np.clip((lower - canvas.y) / np.float32(5.0 * s), 0.0, 1.0)
        outward = np.clip((x - 2.0) / 8.0, 0.0, 1.0)
        above = np.clip((canvas.y - patient.shoulder_y) / 5.0, 0.0, 1.0)
        image += np.sqrt(t) * outward * above * np.float32(bulk)
    return image + np.float32(0.22) * canvas.noise(rng, 2.2)


def abdominal_gas(canvas: Canvas, patient: Patient, view: View, dome_left: float) -> Image:
    """Depth (cm) of gas under the diaphragm: the stomach's bubble with its fluid level, and loops of colon."""
    rng = np.random.default_rng(view.detail + 1)
    s = patient.scale
    gas = np.zeros(canvas.x.shape, np.float32)
    if rng.random() < 0.7:
        a, b = rng.uniform(1.6, 3.8) * s, rng.uniform(0.9, 2.0) * s
        cx, cy = rng.uniform(4.5, 7.5) * s, dome_left + b + rng.uniform(0.5, 1.4)
        bubble = ball(canvas, (cx, cy, 2.0), (a, b, rng.uniform(1.2, 2.4)))
        if not view.supine:
            level = cy + rng.uniform(0.1, 0.8) * b
            bubble *= np.clip((level - canvas.y) / np.float32(0.2), 0.0, 1.0)
        gas += bubble
    # Loops of colon: clusters of overlapping gas pockets, flattened so that they do not look like holes.
    for _ in range(int(rng.integers(0, 3))):
        x, y = rng.uniform(-9, 11) * s, dome_left + rng.uniform(4.0, 12.0)
        for _ in range(int(rng.integers(2, 5))):
            x, y = x + rng.normal(0, 1.2), y + rng.normal(0, 0.5)
            radii = (rng.uniform(0.6, 1.6), rng.uniform(0.5, 1.0), rng.uniform(0.2, 0.6))
            gas = np.maximum(gas, ball(canvas, (x, y, 3.0), radii))
    return gas
