"""The lungs and what bounds them: pleural cavities, diaphragm, heart, mediastinum and the body's outline, as chords."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from knowmvg.core.records import Side
from knowmvg.sources.phantom.anatomy import Patient, View
from knowmvg.sources.phantom.canvas import Canvas, Image

#: +1 for the patient's left, which is the image's right.
SIGN = {Side.RIGHT: -1.0, Side.LEFT: 1.0}


@dataclass(slots=True)
class Lung:
    """One pleural cavity: heights (y) of apex, diaphragm dome and base in cm, its size, and the root of the lung.

    ``air`` ``[H, W]`` is the depth of aerated lung along each ray, cm.
    """

    side: Side
    apex: float
    base: float
    dome: float
    dome_height: float
    half_width: float
    depth: float
    hilum: tuple[float, float]
    air: Image


def outline(lung_height: Image, half_width: float) -> tuple[Image, Image]:
    """Medial and lateral distance from the midline (cm) at a relative height in the lung (0 apex, 1 base)."""
    root = np.sqrt(np.clip(lung_height, 0.0, 1.0))
    knots = np.array([0.0, 0.1, 0.2, 0.3, 0.42, 0.55, 0.7, 0.85, 1.0])
    lateral = np.array([0.36, 0.445, 0.53, 0.625, 0.745, 0.85, 0.94, 0.99, 1.0]) * half_width
    medial = np.array([0.36, 0.275, 0.215, 0.175, 0.14, 0.10, 0.08, 0.07, 0.07]) * half_width
    return np.interp(root, knots, medial).astype(np.float32), np.interp(root, knots, lateral).astype(np.float32)


def pleural_depth(x: Image, y: Image, lung: Lung) -> Image:
    """Depth of a pleural cavity (cm) at patient coordinates; 0 outside its outline."""
    sign, apex, base = SIGN[lung.side], lung.apex, lung.base
    height = (y - np.float32(apex)) / np.float32(base - apex)
    medial, lateral = outline(height, lung.half_width)
    u = (2 * np.float32(sign) * x - lateral - medial) / np.maximum(lateral - medial, np.float32(1e-3))
    square = np.minimum(u * u, 1.0)
    profile = np.interp(height, [0.0, 0.02, 0.06, 0.2, 0.45, 1.0], [0.0, 0.22, 0.4, 0.68, 0.95, 1.0]).astype(np.float32)
    # The side wall is steep; towards the mediastinum the lung thins out gradually before and behind it.
    steep = np.where(u > 0, square * square, square)
    result: Image = np.sqrt(1.0 - steep) * profile * np.float32(lung.depth)
    result[(height <= 0) | (height >= 1)] = 0.0
    return result


def diaphragm_level(x: Image, lung: Lung) -> Image:
    """Height (y, cm) of the diaphragm's top along the ray at ``x``: a dome that falls further to the side."""
    outward = x * np.float32(SIGN[lung.side])
    centre = np.float32(0.46 * lung.half_width)
    v = (outward - centre) / np.where(outward > centre, lung.half_width - centre, centre * 1.1)
    square = v * v
    fall = np.where(outward > centre, square * (0.55 + 0.45 * square), square * 0.14) * np.float32(lung.dome_height)
    return (lung.dome + fall).astype(np.float32)


def heart_chord(canvas: Canvas, patient: Patient, dome: float, enlargement: float) -> tuple[Image, Image]:
    """Depth of the heart (cm) and its relative radius (1 at the contour) on the grid.

    The contour is given by radii about a centre: right atrium, left ventricle with the apex, and the outflow tracts.
    It rests on the left dome of the diaphragm (y, cm). ``enlargement`` (1 is normal) widens the ventricles more than it
    lifts the base.
    """
    s = patient.scale
    cx = 1.15 * s + canvas.shift(3.0) + 0.35 * s * (enlargement - 1) * 4
    cy = dome - 3.7 * s + 0.25 * (patient.heart_y - 6.7 * s)
    angles = np.deg2rad([-180, -150, -120, -90, -60, -35, -10, 15, 35, 60, 90, 120, 150, 180])
    radii = np.array([5.3, 5.5, 6.1, 6.6, 6.3, 5.9, 6.3, 7.3, 8.0, 6.8, 5.4, 5.2, 5.2, 5.3])
    wide = np.array([1.0, 0.9, 0.5, 0.3, 0.5, 0.85, 1.1, 1.25, 1.2, 0.9, 0.7, 0.8, 1.0, 1.0])
    radii = s * radii * (patient.heart_width + (enlargement - 1) * wide)
    fine = np.linspace(-np.pi, np.pi, 181)
    contour = ndimage.gaussian_filter1d(
        np.interp(fine, angles + patient.heart_tilt * 0.5, radii, period=2 * np.pi), 6, mode="wrap"
    )
    dx, dy = canvas.x - np.float32(cx), canvas.y - np.float32(cy)
    limit = np.interp(np.arctan2(dy, dx), fine, contour).astype(np.float32)
    square = (dx * dx + dy * dy) / (limit * limit)
    depth = s * 11.0 * (0.55 + 0.45 * enlargement)
    return (np.sqrt(np.maximum(1.0 - square * (0.45 + 0.55 * square), 0.0)) * np.float32(depth)).astype(
        np.float32
    ), np.sqrt(square)


def ball(canvas: Canvas, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Image:
    """Depth (cm) of an ellipsoid with ``radii`` (x, y, z) about a patient point, on the grid."""
    image = np.zeros(canvas.x.shape, np.float32)
    cx, cy = centre[0] + canvas.shift(centre[2]), centre[1]
    window = canvas.window(cx - radii[0] - 0.5, cy - radii[1] - 0.5, cx + radii[0] + 0.5, cy + radii[1] + 0.5)
    square = ((canvas.x[window] - cx) / radii[0]) ** 2 + ((canvas.y[window] - cy) / radii[1]) ** 2
    image[window] = np.sqrt(np.maximum(1.0 - square, 0.0)) * np.float32(2 * radii[2])
    return image


def mediastinum_chord(canvas: Canvas, patient: Patient) -> Image:
    """Depth (cm) of what lies between the lungs: great vessels with the aortic knob, descending aorta, oesophagus."""
    s, y = patient.scale, canvas.y
    knots = np.array([-14.0, -9.0, -6.0, -3.0, 0.0, 4.0, 9.0, 20.0]) * s
    right = np.interp(
        y, knots, np.array([4.2, 3.1, 2.5, 2.3, 2.3, 2.2, 2.1, 2.0]) * patient.mediastinum_half_width / 2.5
    )
    left = np.interp(
        y, knots, np.array([4.2, 3.2, 2.5, 2.2, 2.0, 1.9, 1.9, 1.9]) * patient.mediastinum_half_width / 2.5
    )
    x = canvas.x - np.float32(canvas.shift(0.5))
    u = (2 * x - left + right) / (left + right)
    band = np.sqrt(np.maximum(1.0 - u * u, 0.0)) * np.float32(11.0 * s)
    r = patient.knob_radius
    knob_y = -1.9 * s
    knob = ball(canvas, (2.0 * s + 0.35 * r, knob_y, -1.0), (r, r * 1.1, 2.6))
    descending_x = 1.5 * s + 0.5 * r + canvas.shift(-4.0)
    inside = 1.0 - ((canvas.x - np.float32(descending_x)) / np.float32(0.8 * r)) ** 2
    descending = np.sqrt(np.maximum(inside, 0.0)) * np.float32(1.6 * r) * (y > knob_y)
    trunk = ball(canvas, (2.6 * s, 1.6 * s, 2.0), (1.5 + 0.7 * patient.pulmonary_trunk, 2.2, 2.0))
    ascending = ball(canvas, (-1.6 * s, 0.8 * s, 3.0), (1.9 * s, 4.4 * s, 2.2))
    squares = band * band + knob * knob + trunk * trunk + ascending * ascending
    result: Image = np.sqrt(squares) + descending * np.float32(0.8)
    return result


def make_lungs(canvas: Canvas, patient: Patient, view: View) -> dict[Side, Lung]:
    """Both pleural cavities with their outline and diaphragm, before organs are subtracted."""
    lungs = {}
    lower = view.inspiration * patient.scale
    rng = np.random.default_rng(patient.detail)
    for side in (Side.RIGHT, Side.LEFT):
        left = side is Side.LEFT
        apex = patient.apex_y + rng.normal(0.0, 0.3)
        base = patient.base_y + 0.8 * lower + rng.normal(0.0, 0.3) + (0.4 if left else 0.0)
        dome = min(patient.dome_right_y + lower + (patient.dome_left_lower if left else 0.0), base - 2.2)
        width = patient.thorax_half_width * rng.uniform(0.97, 1.03) * (1.0 + 0.006 * lower)
        lung = Lung(
            side=side,
            apex=apex,
            base=base,
            dome=dome,
            dome_height=min(patient.dome_height, base - dome - 0.7),
            half_width=width,
            depth=patient.thorax_depth,
            hilum=(SIGN[side] * 3.4 * patient.scale, (1.0 if left else 2.0) * patient.scale),
            air=np.zeros_like(canvas.x),
        )
        level = diaphragm_level(canvas.x, lung)
        # Behind the dome the lung reaches down to the recess at the base, thinner the lower.
        outward = np.clip(canvas.x * np.float32(SIGN[side] / width), 0.0, 1.0)
        reach = (np.float32(base) - level) * (0.1 + 0.9 * outward * outward)
        below = (canvas.y - level) / np.maximum(reach, np.float32(1.2))
        cavity = pleural_depth(canvas.x, canvas.y, lung)
        lung.air = cavity * (1.0 - np.sqrt(np.clip(below, 0.0, 1.0)))
        lungs[side] = lung
    return lungs


def body_depth(canvas: Canvas, patient: Patient, view: View) -> Image:
    """Depth (cm) of the whole body: trunk, neck, shoulders and arms."""
    s, fat = patient.scale, patient.fat
    y, x = canvas.y, np.abs(canvas.x)
    wall = patient.thorax_half_width + 1.6 + 3.2 * fat
    top = patient.shoulder_y - 1.0
    knots = np.array([top - 9.0, top - 4.5, top - 3.0, top - 1.6, top, top + 2.0, top + 5.0, 2.0, 12.0, 22.0, 30.0])
    widths = np.array([5.6, 5.8, 7.2, 9.8, 14.2, 18.6, 21.0, wall + 2.0, wall, wall + 0.5 + fat, wall + fat])
    widths[:3] += 1.2 * fat
    order = np.argsort(knots)
    fine = np.linspace(-40, 45, 341)
    half = ndimage.gaussian_filter1d(np.interp(fine, knots[order], widths[order]), 6)
    trunk = patient.thorax_depth + 3.0 + 6.0 * fat
    depths = np.interp(
        fine, [top - 9, top - 3, top, top + 4, 0, 15, 30], [13.0, 13.5, 14.0, trunk - 3.0, trunk, trunk + 0.5, trunk]
    )
    u = x / np.interp(y, fine, half).astype(np.float32)
    square = np.minimum(u * u, 1.0)
    depth = np.sqrt(1.0 - square * (0.4 + 0.6 * square)) * np.interp(y, fine, depths).astype(np.float32)
    axilla = 3.0 * s
    arm_x = wall + 4.6 + 3.5 * view.arms + np.clip(y - axilla, 0, None) * np.float32(0.12 * view.arms)
    inside = 1.0 - ((x - arm_x) / np.float32(4.2 + fat)) ** 2
    arms = np.sqrt(np.maximum(inside, 0.0)) * np.float32(8.0 + 2 * fat) * np.clip((y - top) / 4.0, 0.0, 1.0)
    result: Image = np.maximum(depth, arms) + np.minimum(depth, arms) * np.float32(0.35)
    return result
