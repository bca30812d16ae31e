"""From line integrals to the displayed 8-bit image: scatter, detector, and a workstation's processing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowmvg.sources.phantom.canvas import Image


@dataclass(frozen=True, slots=True)
class Device:
    """A machine and its presets; lengths in pixels of a 256-pixel image."""

    scatter: float
    photons: float
    blur: float
    equalise: float
    sharpen: float
    contrast: float
    brightness: float
    toe: float
    floor: float


def sample_device(rng: np.random.Generator) -> Device:
    """A random machine, from a bedside cassette to a flat panel with heavy processing."""
    return Device(
        scatter=rng.uniform(0.15, 0.75),
        photons=float(np.exp(rng.uniform(np.log(2.5e3), np.log(3e4)))),
        blur=rng.uniform(0.25, 0.6),
        equalise=rng.uniform(0.05, 0.5),
        sharpen=rng.uniform(0.1, 0.9),
        contrast=rng.uniform(3.0, 5.2),
        brightness=rng.uniform(-0.09, 0.10),
        toe=rng.uniform(0.85, 1.25),
        floor=rng.uniform(0.0, 0.06),
    )


def expose(line_integral: Image, device: Device, rng: np.random.Generator) -> Image:
    """Detected signal ``[H, W]`` as log attenuation: Beer-Lambert primary, blurred scatter, quantum noise."""
    scale = line_integral.shape[0] / 256
    primary = np.exp(-line_integral)
    factor = max(int(round(8 * scale)), 1)
    coarse = ndimage.zoom(ndimage.uniform_filter(primary, factor)[factor // 2 :: factor, factor // 2 :: factor], 1.0)
    coarse = ndimage.gaussian_filter(coarse, 3.0, mode="nearest")
    # Scatter is broad, so a coarse grid holds it; it adds a share of the surrounding primary to every pixel.
    zoom = [n / m for n, m in zip(primary.shape, coarse.shape, strict=True)]
    scatter = ndimage.zoom(coarse, zoom, order=1, mode="nearest", grid_mode=True)
    signal = primary + np.float32(device.scatter) * scatter
    signal = ndimage.gaussian_filter(signal, device.blur * scale)
    # Exposure control: the dose is set for the median of the field, so thick patients are not noisier by far.
    quanta = signal * np.float32(device.photons / scale**2 / max(float(np.median(signal)), 1e-6))
    noise = rng.standard_normal(signal.shape, dtype=np.float32) * np.sqrt(quanta + 4.0)
    noisy = np.maximum(quanta + ndimage.gaussian_filter(noise, 0.45 * scale) * np.float32(1.2), 0.5)
    return -np.log(noisy / np.float32(device.photons / scale**2)).astype(np.float32)


def display(signal: Image, device: Device) -> NDArray[np.uint8]:
    """Presentation image: latitude compression, edge enhancement, and a sigmoid from dark air to bright bone."""
    scale = signal.shape[0] / 256
    step = max(int(round(4 * scale)), 1)
    small = ndimage.gaussian_filter(
        ndimage.uniform_filter(signal, step)[step // 2 :: step, step // 2 :: step], 5.0, mode="nearest"
    )
    zoom = [n / m for n, m in zip(signal.shape, small.shape, strict=True)]
    base = ndimage.zoom(small, zoom, order=1, mode="nearest", grid_mode=True)
    fine = signal - ndimage.gaussian_filter(signal, 1.6 * scale)
    image = signal - np.float32(device.equalise) * base + np.float32(device.sharpen) * fine
    h, w = image.shape
    centre = image[h // 8 : -h // 8, w // 8 : -w // 8]
    low, high = np.percentile(centre[::2, ::2], [2.0, 97.0])
    t = (image - low) / max(high - low, 1e-3)
    sigmoid = 1.0 / (1.0 + np.exp(-device.contrast * (t - 0.5 + device.brightness)))
    ends = [1.0 / (1.0 + np.exp(-device.contrast * (e - 0.5 + device.brightness))) for e in (-0.12, 1.15)]
    value = np.clip((sigmoid - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0)
    value = device.floor + (1 - device.floor) * value
    return (value * 255.0 + 0.5).astype(np.uint8)
