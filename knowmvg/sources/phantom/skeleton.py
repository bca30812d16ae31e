"""Bones: ribs, spine, clavicles, scapulae and humeri as shells of cortical bone around marrow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowmvg.sources.phantom.anatomy import Patient, View
from knowmvg.sources.phantom.canvas import Canvas, Image, tube
from knowmvg.sources.phantom.cavity import outline

Cloud = tuple[NDArray[np.float64], NDArray[np.float64]]

MARROW = 0.22


def ribs(patient: Patient, view: View, step: float) -> list[Cloud]:
    """Twelve pairs of ribs: flat curved plates from the spine round the side to the front, sloping down."""
    rng = np.random.default_rng(patient.detail + 1)
    spacing = (patient.base_y - patient.apex_y) / 10.9 * rng.uniform(0.96, 1.04)
    slope = rng.uniform(0.6, 1.4)
    clouds = []
    for number in range(1, 13):
        head = patient.apex_y + 0.3 * patient.scale + (number - 1) * spacing * (1 - 0.004 * number)
        head += 0.05 * view.inspiration * number
        for sign in (-1.0, 1.0):
            clouds.append(
                _rib(patient, view, number, sign, head + rng.normal(0, 0.1), slope * rng.normal(1, 0.08), step)
            )
    return clouds


def _rib(patient: Patient, view: View, number: int, sign: float, head: float, slope: float, step: float) -> Cloud:
    """One rib: ``phi`` runs along it (0 at the spine, 90 degrees at the side), ``h`` across its height.

    Three layers carry its bone: outer cortex, marrow with the upper and lower edge, inner cortex. Where the plate turns
    along the rays much of it falls on few pixels, which is what makes the side of a rib bright.
    """
    s = patient.scale
    drop = np.interp(number, [1, 2, 4, 7, 10, 12], [3.8, 5.9, 8.0, 9.6, 9.4, 8.5]) * s * (1.0 - 0.02 * view.inspiration)
    end = np.deg2rad(np.interp(number, [1, 2, 6, 8, 10, 11, 12], [125, 138, 146, 138, 112, 76, 50]))
    early = np.interp(number, [1, 6, 9, 12], [0.05, 0.12, 0.26, 0.45]) * slope
    height = np.float32((head + 0.5 * drop - patient.apex_y) / (patient.base_y - patient.apex_y))
    width = float(outline(np.asarray(height), patient.thorax_half_width)[1]) + 0.3
    start, depth, tall = 1.2 * s, 0.52 * patient.thorax_depth, (0.55 + 0.03 * min(number, 6)) * s
    phi = np.arange(0.02, end, step / width)[:, None]
    m = max(int(np.ceil(2.3 * tall / step)), 5)
    h = ((np.arange(m) + 0.5) / m * 2 - 1)[None, :]
    sin, cos = np.sin(phi), np.cos(phi)
    down = 0.5 * drop * ((1 - early) * (1 - cos) + early * 2 * np.sin(np.minimum(phi, np.pi / 2)))
    run = np.sqrt(((width - start) * cos) ** 2 + np.gradient(down[:, 0], phi[:, 0])[:, None] ** 2 + (depth * sin) ** 2)
    lean = -np.gradient(down[:, 0], phi[:, 0])[:, None] * (width - start) * cos / run**2 * 0.8
    up = h * tall * (1.0 + 0.15 * (phi / end) ** 2)
    density = np.interp(phi, [0.0, 0.1, 0.3, 1.2, 1.6, 2.0, 2.6], [0.0, 0.5, 1.0, 0.85, 0.62, 0.7, 0.55])
    density = density * np.interp(number, [1, 8, 10, 12], [1.0, 0.95, 0.65, 0.5])
    area = run * (phi[1, 0] - phi[0, 0]) * (2 * tall / m)
    edge = 1.0 + 1.1 * np.square(np.square(h)) ** 2
    # Only where the plate is seen edge-on do its two cortices lie apart on the image; elsewhere one layer carries all.
    apart = np.clip((sin - 0.72) / 0.15, 0.0, 1.0)
    points, volumes = [], []
    for layer in (-1.0, 0.0, 1.0):
        out = 0.3 * s * layer
        thickness = 0.1 * apart if layer else 0.16 * edge + 0.2 * (1.0 - apart)
        x = sign * (start + (width - start + out) * sin + up * lean)
        y = head + down + up * np.sqrt(1 - 0.6 * lean**2)
        z = np.broadcast_to(-(depth + out) * cos, x.shape)
        rows = np.broadcast_to(thickness > 0, x.shape)[:, 0]
        points.append(np.stack([x[rows], y[rows], z[rows]], axis=-1).reshape(-1, 3))
        volumes.append((thickness * density * area * np.ones_like(h))[rows].ravel())
    return np.concatenate(points), np.concatenate(volumes)


def clavicles(patient: Patient, view: View, step: float) -> list[Cloud]:
    """Both clavicles: an S from the manubrium to the acromion."""
    rng = np.random.default_rng(patient.detail + 2)
    s = patient.scale
    rise = rng.uniform(-0.3, 2.2) if not view.supine else rng.uniform(-1.0, 2.8)
    bow = rng.uniform(0.5, 1.3)
    clouds = []
    medial_y = patient.apex_y + rng.uniform(2.4, 4.4) * s
    for sign in (-1.0, 1.0):
        t = np.linspace(0, 1, 48)
        x = sign * (1.7 + 15.0 * t) * s
        y = medial_y + rng.normal(0, 0.25) - rise * t - bow * np.sin(2 * np.pi * t**0.8) * s
        z = 7.0 - 10.0 * t
        radius = np.interp(t, [0, 0.03, 0.07, 0.15, 0.4, 0.8, 1], [0.5, 0.95, 1.0, 0.78, 0.56, 0.66, 0.85]) * s
        clouds.append(tube(np.stack([x, y, z], axis=1), radius, step=step, wall=0.15, core=MARROW * 1.2))
    return clouds


def shoulders(patient: Patient, view: View, step: float) -> list[Cloud]:
    """Scapulae and humeri; arms held forward turn the scapulae off the lungs."""
    rng = np.random.default_rng(patient.detail + 3)
    s = patient.scale
    out = 1.5 + 3.2 * (1 - 0.6 * view.arms) * (0.4 if view.supine else 1.0)
    top = patient.shoulder_y + 1.2
    clouds = []
    for sign in (-1.0, 1.0):
        wobble = rng.normal(0, 0.35, 8)
        clouds += _scapula(sign, out + 8.0, top, wobble, s, step)
        clouds.append(_humerus(sign, (sign * (out + 17.2) * s, s + top), view.arms, s, step))
    return clouds


def _scapula(sign: float, x0: float, top: float, wobble: NDArray[np.float64], s: float, step: float) -> list[Cloud]:
    """Borders, spine, coracoid and socket of one shoulder blade, and its thin plate; ``x0`` is its inner corner."""

    def path(points: list[tuple[float, float]], z: float) -> NDArray[np.float64]:
        return _rounded(np.array([(sign * (x0 + x) * s, y * s + top, z) for x, y in points]))

    tip = (2.2, 13.4 + wobble[1])
    medial = path([(0.6, 0.6), (wobble[0] * 0.3 - 0.3, 4.0), (0.5, 9.0), tip], -7)
    lateral = path([tip, (4.0, 9.0), (5.6, 5.0), (6.6, 2.2)], -6)
    parts = (
        (medial, 0.18),
        (lateral, 0.38),
        (path([(0.6, 0.6), (3.0, wobble[2] * 0.4 - 0.3), (5.4, 0.2)], -5), 0.22),
        (path([(0.4, 2.6), (4.0, 1.0), (7.2, -1.4), (9.2, -1.6)], -8), 0.42),
        (path([(5.4, 0.4), (6.0, -0.6), (7.0, 0.1)], -1), 0.5),
        (path([(6.7, -0.2), (7.0, 1.4), (6.6, 2.8)], -4), 0.4),
    )
    borders = [tube(line, radius * s, step=step, wall=0.16, core=MARROW * 1.3) for line, radius in parts]
    return [*borders, _blade(medial, lateral)]


def _humerus(sign: float, head: tuple[float, float], arms: float, s: float, step: float) -> Cloud:
    """One upper arm from its head (cm) down; ``arms`` from 0 to 1 spreads it from the trunk."""
    t = np.linspace(0, 1, 60)
    shaft = np.stack([head[0] + sign * t * (0.5 + 3.5 * arms), head[1] + t * 34, np.full(60, -3.0)], axis=1)
    girth = np.interp(t, [0, 0.013, 0.04, 0.08, 0.13, 0.21, 1], [0.5, 1.6, 2.3, 2.2, 1.7, 1.25, 1.15]) * s
    return tube(shaft, girth, step=step, wall=0.28, core=MARROW * 0.7)


def _rounded(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """A path through the way points with its corners rounded off."""
    t = np.linspace(0, len(path) - 1, 48)
    fine = np.stack([np.interp(t, np.arange(len(path)), path[:, k]) for k in range(3)], axis=1)
    return np.asarray(ndimage.gaussian_filter1d(fine, 5.0, axis=0, mode="nearest"))


def _blade(medial: NDArray[np.float64], lateral: NDArray[np.float64]) -> Cloud:
    """The thin plate between the borders of a scapula."""
    t, u = np.meshgrid(np.linspace(0, 1, 70), np.linspace(0.02, 0.98, 44), indexing="ij")

    def at(line: NDArray[np.float64], where: NDArray[np.float64]) -> NDArray[np.float64]:
        knots = np.linspace(0, 1, len(line))
        return np.stack([np.interp(where, knots, line[:, k]) for k in range(3)], axis=-1)

    points = at(medial, t) * (1 - u[..., None]) + at(lateral[::-1], t) * u[..., None]
    area = np.abs(np.ptp(points[..., 0]) * np.ptp(points[..., 1])) * 0.55
    return points.reshape(-1, 3), np.full(t.size, 0.07 * area / t.size)


def spine(canvas: Canvas, patient: Patient) -> Image:
    """Line integral (cm of bone) of vertebral bodies with discs, end plates, pedicles and spinous processes."""
    s = patient.scale
    rng = np.random.default_rng(patient.detail + 4)
    bone = np.zeros(canvas.x.shape, np.float32)
    z = -6.5
    window = canvas.window(-5.0, -40.0, 5.0, 45.0)
    y = canvas.y[window] / np.float32(s)
    bend = patient.scoliosis * np.sin(y / 6.0 + rng.uniform(0, 6.0))
    x = (canvas.x[window] - np.float32(canvas.shift(z))) / np.float32(s) - bend
    # Vertebrae grow from 1.9 cm in the neck to 3.4 cm in the loins: y is warped so that each fills one unit.
    level = y / (2.25 + 0.022 * y) + rng.uniform(0, 1)
    phase = level - np.floor(level)
    half = 1.55 + 0.028 * (y + 10)
    waist = half * (1.0 + 0.10 * np.square(2 * phase - 1))
    body = np.sqrt(np.clip(1.0 - np.square(x / waist), 0.0, 1.0))
    disc = np.clip((np.abs(phase - 0.5) - 0.39) / 0.05, 0.0, 1.0)
    plate = np.exp(-np.square((np.abs(phase - 0.5) - 0.385) / 0.03))
    side = np.exp(-np.square((np.abs(x) - waist + 0.1) / 0.12))
    image = body * (1.0 - 0.85 * disc) * 0.62 + 0.22 * plate * body + 0.16 * side * (1 - disc)
    pedicle = np.square((np.abs(x) - 0.62 * half) / 0.36) + np.square((phase - 0.3) / 0.17)
    image += 0.34 * np.exp(-np.square(pedicle - 1.0) / 0.25) + 0.12 * (pedicle < 1)
    process = np.square(x / 0.28) + np.square((phase - 0.72) / 0.16)
    image += 0.34 * np.exp(-np.square(process))
    transverse = (
        np.exp(-np.square((phase - 0.32) / 0.11)) * np.clip((3.0 - np.abs(x)) / 0.5, 0, 1) * (np.abs(x) > half * 0.8)
    )
    bone[window] = 0.45 * image + 0.14 * transverse
    return bone


def skeleton(canvas: Canvas, patient: Patient, view: View) -> Image:
    """Line integral of all bones, in cm of compact bone."""
    step = canvas.pitch * 1.05
    parts = [*ribs(patient, view, step), *clavicles(patient, view, step), *shoulders(patient, view, step)]
    points, volume = np.concatenate([p for p, _ in parts]), np.concatenate([v for _, v in parts])
    return canvas.splat(points, volume) + spine(canvas, patient)
