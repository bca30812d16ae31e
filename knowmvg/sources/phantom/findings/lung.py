"""Findings of the lung itself: air replaced by fluid, cells or collapse. Each returns cm of tissue added ``[H, W]``."""

from __future__ import annotations

import numpy as np

from knowmvg.core.records import Side
from knowmvg.sources.phantom.canvas import Image, Window
from knowmvg.sources.phantom.cavity import SIGN, diaphragm_level, outline
from knowmvg.sources.phantom.chest import Chest


def place(chest: Chest, side: Side, rng: np.random.Generator, inset: float = 0.12) -> tuple[float, float]:
    """A random point (patient cm) of one lung, away from its borders by ``inset`` of its width."""
    lung = chest.lungs[side]
    bottom = lung.dome + 1.0
    y = lung.apex + rng.uniform(0.1, 0.98) * (bottom - lung.apex)
    height = np.asarray((y - lung.apex) / (lung.base - lung.apex), dtype=np.float32)
    medial, lateral = (float(v) for v in outline(height, lung.half_width))
    medial = max(medial, 3.0 * chest.patient.scale)
    x = medial + rng.uniform(inset, 1 - inset) * (lateral - medial)
    x *= SIGN[side]
    level = float(diaphragm_level(np.asarray([x], np.float32), lung)[0])
    return x, min(y, level - 0.8)


def _around(chest: Chest, centre: tuple[float, float], reach: float) -> tuple[Window, Image, Image]:
    x, y = centre
    window = chest.canvas.window(x - reach, y - reach, x + reach, y + reach)
    return window, chest.canvas.x[window] - np.float32(x), chest.canvas.y[window] - np.float32(y)


def _ellipse(dx: Image, dy: Image, a: float, b: float, angle: float) -> Image:
    cos, sin = np.cos(angle), np.sin(angle)
    square: Image = ((dx * cos + dy * sin) / a) ** 2 + ((dy * cos - dx * sin) / b) ** 2
    return np.sqrt(square).astype(np.float32)


def _ramp(x: Image, low: float, high: float) -> Image:
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    result: Image = t * t * (3.0 - 2.0 * t)
    return result


def lung_opacity(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Image:
    """Ground-glass haze: a soft patch with vessels still visible through it."""
    centre = place(chest, side, rng, 0.2)
    a = rng.uniform(3.0, 4.2) + 2.4 * severity
    b = a * rng.uniform(0.7, 1.25)
    window, dx, dy = _around(chest, centre, 1.5 * max(a, b))
    r = _ellipse(dx, dy, a, b, rng.uniform(-0.8, 0.8)) + 0.16 * chest.canvas.noise(rng, 2.0, window)
    fill = np.zeros_like(chest.fill)
    room = chest.room[side][window]
    grain = 1.0 + 0.12 * chest.canvas.noise(rng, 0.7, window)
    fill[window] = np.minimum(_ramp(r, 1.15, 0.65) * (2.7 + 2.3 * severity) * grain, 0.45 * room)
    return fill


def consolidation(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Image:
    """Airless lung: dense, bounded by a straight fissure on one edge, with bronchi that still hold air."""
    centre = place(chest, side, rng, 0.15)
    a = rng.uniform(3.0, 4.2) + 2.6 * severity
    b = a * rng.uniform(0.75, 1.2)
    window, dx, dy = _around(chest, centre, 1.5 * max(a, b))
    noise = chest.canvas.noise(rng, 1.4, window)
    r = _ellipse(dx, dy, a, b, rng.uniform(-0.6, 0.6)) + 0.2 * noise
    # The fissure: a plane seen edge-on, above or below the centre.
    edge = rng.choice([-1.0, 1.0]) * (dy - rng.uniform(-0.25, 0.25) * dx)
    sharp = _ramp(edge, -0.62 * b, -0.62 * b + 0.35)
    amount = _ramp(r, 1.1, 0.6) * sharp * rng.uniform(0.55, 0.8)
    lung = chest.lungs[side]
    wander = 0.09 * chest.canvas.noise(rng, 1.8, window)
    away = np.arctan2(dy + centre[1] - lung.hilum[1], dx + centre[0] - lung.hilum[0]) + wander
    bronchi = np.zeros_like(amount)
    heading = float(np.arctan2(centre[1] - lung.hilum[1], centre[0] - lung.hilum[0]))
    for k in range(int(rng.integers(2, 5))):
        course = heading + (k - 1.5) * rng.uniform(0.14, 0.26)
        distance = np.hypot(dx + centre[0] - lung.hilum[0], dy + centre[1] - lung.hilum[1])
        across = np.sin(away - course) * distance
        across = np.where(distance < a * rng.uniform(0.8, 1.6) + 3.0, across, 9.0)
        bronchi = np.maximum(bronchi, np.exp(-np.square(across / 0.13)) * (np.cos(away - course) > 0))
    fill = np.zeros_like(chest.fill)
    room = chest.room[side][window]
    fill[window] = np.minimum(amount * np.maximum(room, 0.0), (6.0 + 3.0 * severity) * amount) * (1.0 - 0.34 * bronchi)
    return fill


def pneumonia(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Image:
    """Bronchopneumonia: many ill-defined confluent patches in one region."""
    centre = place(chest, side, rng, 0.18)
    a = rng.uniform(3.5, 4.7) + 2.7 * severity
    b = a * rng.uniform(0.8, 1.35)
    window, dx, dy = _around(chest, centre, 1.5 * max(a, b))
    r = _ellipse(dx, dy, a, b, rng.uniform(-0.7, 0.7)) + 0.12 * chest.canvas.noise(rng, 2.2, window)
    patches = 0.55 + 0.75 * chest.canvas.noise(rng, 1.0, window) + 0.3 * chest.canvas.noise(rng, 0.5, window)
    patches = np.clip(patches, 0.08, 1.7)
    fill = np.zeros_like(chest.fill)
    amount = _ramp(r, 1.12, 0.72) * patches * (3.4 + 2.6 * severity)
    fill[window] = np.minimum(amount, 0.7 * chest.room[side][window])
    return fill


def nodule(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Image:
    """A round mass of tissue, 1.4 to 3.0 cm across, with a slightly lobulated margin."""
    centre = place(chest, side, rng, 0.2)
    radius = 0.8 + 0.75 * severity * rng.uniform(0.85, 1.1)
    window, dx, dy = _around(chest, centre, 1.6 * radius)
    angle = np.arctan2(dy, dx)
    lobes = 1.0 + 0.05 * np.cos(3 * angle + rng.uniform(0, 6)) + 0.04 * np.cos(5 * angle + rng.uniform(0, 6))
    r = _ellipse(dx, dy, radius, radius * rng.uniform(0.85, 1.15), rng.uniform(0, 3)) / lobes
    density = rng.uniform(1.65, 2.1) - 0.35 * severity
    fill = np.zeros_like(chest.fill)
    body = np.sqrt(np.maximum(1.0 - r * r, 0.0)) * 2 * radius * density
    fill[window] = np.minimum(body, 0.9 * chest.room[side][window])
    return fill


def atelectasis(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Image:
    """Collapsed lung: plates (bands a few mm thick seen edge-on), or a wedge of volume loss on the diaphragm."""
    fill = np.zeros_like(chest.fill)
    lung = chest.lungs[side]
    x, y = place(chest, side, rng, 0.3)
    y = max(y, lung.apex + 0.5 * (lung.dome - lung.apex))
    if rng.random() < 0.3:
        return _wedge(chest, side, severity, rng)
    length = rng.uniform(2.6, 3.4) + 1.7 * severity
    lean = rng.uniform(-0.6, 0.6)
    window, dx, dy = _around(chest, (x, y), length + 2.5)
    room = chest.room[side][window]
    for k in range(int(rng.integers(1, 4)) + int(severity > 0.6)):
        tilt = lean + rng.normal(0, 0.07)
        u = dx * np.cos(tilt) + dy * np.sin(tilt) - rng.normal(0, 0.5)
        v = dy * np.cos(tilt) - dx * np.sin(tilt) - k * rng.uniform(0.9, 1.6) + rng.uniform(-0.04, 0.04) * u * u
        thick = rng.uniform(0.22, 0.36) * (1.0 + 0.6 * severity)
        ends = _ramp(np.abs(u) / (length * rng.uniform(0.8, 1.0)), 1.0, 0.6)
        plate = np.exp(-np.square(v / thick)) * ends * rng.uniform(3.2, 4.8)
        fill[window] = np.maximum(fill[window], np.minimum(plate, 0.6 * room))
    return fill


def _wedge(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Image:
    """Lower-lobe volume loss: a triangle with a straight upper edge on the diaphragm, widest towards the spine."""
    lung = chest.lungs[side]
    x, y = chest.canvas.x * np.float32(SIGN[side]), chest.canvas.y
    top = lung.dome - rng.uniform(2.0, 3.0) - 3.0 * severity
    slope = rng.uniform(0.35, 0.7)
    edge = y - (top + slope * (x - 2.0))
    amount = _ramp(edge, 0.0, 0.7) * _ramp(y - lung.dome, 2.6, 1.0)
    result: Image = np.minimum(amount * (4.4 + 1.5 * severity), 0.75 * chest.room[side])
    return result


def edema(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Image:
    """Haze about the hilum with a reticular pattern, wider vessels towards the apex, septal lines at the base."""
    lung = chest.lungs[side]
    near, far = sorted((0.0, SIGN[side] * (lung.half_width + 1.0)))
    window = chest.canvas.window(near, lung.apex, far, lung.base)
    y = chest.canvas.y[window]
    dx = chest.canvas.x[window] - np.float32(lung.hilum[0])
    reach = 6.4 + 4.2 * severity
    r = _ellipse(dx, y - np.float32(lung.hilum[1] + 1.5), reach * 0.95, reach * 1.2, 0.0)
    cloud = _ramp(r + 0.12 * chest.canvas.noise(rng, 2.5, window), 1.25, 0.35)
    net = 0.62 + 0.35 * chest.canvas.noise(rng, 0.55, window) + 0.3 * chest.canvas.noise(rng, 1.3, window)
    room = chest.room[side]
    fill = np.zeros_like(chest.fill)
    fill[window] = np.minimum(cloud * np.clip(net, 0.15, 1.5) * (3.0 + 3.0 * severity), 0.6 * room[window])
    upper = np.clip((lung.hilum[1] + 1.0 - y) / 5.0, 0.0, 1.0)
    wider = (0.25 + 0.9 * upper) * (0.4 + 0.6 * severity) * (room[window] > 0.5)
    fill[window] += chest.vessels[side][window] * wider
    for _ in range(int(2 + 5 * severity)):
        level = lung.dome - rng.uniform(0.0, 3.5)
        lateral = float(
            outline(np.asarray((level - lung.apex) / (lung.base - lung.apex), np.float32), lung.half_width)[1]
        )
        inner, outer = sorted((SIGN[side] * (lateral - rng.uniform(1.2, 2.2)), SIGN[side] * lateral))
        window = chest.canvas.window(inner, level - 0.3, outer, level + 0.3)
        line = np.exp(-np.square((chest.canvas.y[window] - level) / 0.09)) * 0.9
        fill[window] = fill[window] + np.minimum(line, 0.4 * room[window])
    return fill
