"""Findings of the pleural space: fluid that gathers at the base, air that lets the lung retract from the wall."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from knowmvg.core.records import Side
from knowmvg.sources.phantom.canvas import Image
from knowmvg.sources.phantom.cavity import SIGN, diaphragm_level, pleural_depth
from knowmvg.sources.phantom.chest import Chest


def effusion(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> Image:
    """Fluid, cm ``[H, W]``: it blunts the angle, then rises with a meniscus that is higher at the side wall."""
    lung = chest.lungs[side]
    x, y = chest.canvas.x * np.float32(SIGN[side]), chest.canvas.y
    angle_y = lung.dome + lung.dome_height
    full = angle_y - (lung.apex + 0.35 * (angle_y - lung.apex))
    height = (0.4 * severity + 0.6 * severity * severity) * rng.uniform(0.85, 1.0)
    wall_y = angle_y - 3.8 - height * (full - 3.8)
    outward = np.clip(x / np.float32(lung.half_width), 0.0, 1.05)
    sag = rng.uniform(2.2, 3.6) + 1.5 * severity
    surface = wall_y + sag * (1.0 - outward * outward) * (1.0 - 0.25 * np.square(1 - outward))
    surface += 0.12 * chest.canvas.noise(rng, 3.0)
    depth = np.clip((y - surface) / np.float32(rng.uniform(1.0, 1.8)), 0.0, 1.0)
    amount = depth * (2.0 - depth)
    result: Image = (amount * chest.room[side] * 0.94).astype(np.float32)
    return result


def pneumothorax(chest: Chest, side: Side, severity: float, rng: np.random.Generator) -> tuple[Image, Image]:
    """Collapsed lung depth (cm) after the lung has shrunk towards its root, and its pleural line (cm of tissue)."""
    lung = chest.lungs[side]
    sign = SIGN[side]
    shrink = 1.0 / (0.91 - 0.26 * severity * rng.uniform(0.85, 1.0))
    # Air rises: shrinking about the base frees the apex; about the root's height it frees the side wall too.
    lateral = rng.random() < 0.35
    pivot_y = lung.hilum[1] + rng.uniform(2, 4) if lateral else lung.dome + rng.uniform(1.5, 4.0)
    pivot_x = sign * 1.5
    sideways = shrink * (1.05 if lateral else 0.98)
    upwards = 1.0 + (shrink - 1.0) * (0.35 if lateral else 1.0)
    canvas = chest.canvas
    warp = 1.0 + 0.012 * canvas.noise(rng, 5.0)
    x = pivot_x + (canvas.x - pivot_x) * np.float32(sideways) * warp
    y = pivot_y + (canvas.y - pivot_y) * np.float32(upwards) * warp
    shrunk = pleural_depth(x.astype(np.float32), y.astype(np.float32), lung)
    below = canvas.y > diaphragm_level(canvas.x, lung) - 0.5
    inside = (shrunk > 0.4).astype(np.float32)
    scale = canvas.size / 256
    soft = ndimage.gaussian_filter(inside, 1.1 * scale)
    line = np.square(4.0 * soft * (1.0 - soft)) * np.float32(1.1) * ((lung.air > 0.6) & ~below)
    kept = np.where(below, 1.0, np.clip((soft - 0.2) / 0.6, 0.0, 1.0))
    return (lung.air * kept).astype(np.float32), line.astype(np.float32)
