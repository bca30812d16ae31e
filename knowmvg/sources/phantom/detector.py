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
    shutter: bool


def sample_device(rng: np.random.Generator) -> Device:
    """A random machine, from a bedside cassette to a flat panel with heavy processing."""
    return Device(
        scatter=rng.uniform(0.15, 0.75),
        photons=float(np.exp(rng.uniform(np.log(7e3), np.log(6e4)))),
        blur=rng.uniform(0.25, 0.6),
        equalise=rng.uniform(0.15, 0.6),
        sharpen=rng.uniform(0.2, 0.95),
        contrast=rng.uniform(2.0, 4.6),
        brightness=rng.uniform(-0.09, 0.10),
        toe=rng.uniform(0.85, 1.25),
        floor=rng.uniform(0.0, 0.06),
        shutter=bool(rng.random() < 0.7),
    )


def expose(line_integral: Image, beam: Image, device: Device, rng: np.random.Generator) -> Image:
    """Detected signal ``[H, W]`` as log attenuation: Beer-Lambert primary, blurred scatter, quantum noise.

    ``beam`` ``[H, W]`` is the share of the radiation that reaches the patient (collimation).
    """
    scale = line_integral.shape[0] / 256
    primary = np.exp(-line_integral) * beam
    # Scatter comes from matter, not from air beside the patient, and adds a share of the surrounding primary.
    source = primary * np.minimum(line_integral * np.float32(0.5), 1.0)
    signal = primary + np.float32(device.scatter) * _broad(source, 24.0, scale)
    signal = ndimage.gaussian_filter(signal, device.blur * scale)
    # Exposure control: the dose is set for the median of the field, so thick patients are not noisier by far.
    dose = np.float32(device.photons / scale**2 / max(float(np.median(signal)), 1e-6))
    quanta = signal * dose
    noise = rng.standard_normal(signal.shape, dtype=np.float32) * np.sqrt(quanta + 4.0)
    noisy = np.maximum(quanta + ndimage.gaussian_filter(noise, 0.45 * scale) * np.float32(1.2), 0.5)
    result: Image = -np.log(noisy / dose).astype(np.float32)
    return result


def _broad(image: Image, sigma: float, scale: float) -> Image:
    """A wide Gaussian blur (``sigma`` in pixels of 256), computed on a coarse grid that holds it without loss."""
    step = max(round(4 * scale), 1)
    coarse = ndimage.uniform_filter(image, step)[step // 2 :: step, step // 2 :: step]
    coarse = ndimage.gaussian_filter(coarse, sigma / step * scale, mode="nearest")
    zoom = [n / m for n, m in zip(image.shape, coarse.shape, strict=True)]
    return np.asarray(ndimage.zoom(coarse, zoom, order=1, mode="nearest", grid_mode=True), np.float32)


def display(signal: Image, beam: Image, device: Device) -> NDArray[np.uint8]:
    """Presentation image: latitude compression, edge enhancement, and a sigmoid from dark air to bright bone."""
    scale = signal.shape[0] / 256
    base = _broad(signal, 20.0, scale)
    fine = signal - ndimage.gaussian_filter(signal, 1.6 * scale)
    image = signal - np.float32(device.equalise) * base + np.float32(device.sharpen) * fine
    # The window follows the patient: unattenuated beam and collimated borders are left out, as a workstation does.
    h, w = image.shape
    inner = (slice(h // 10, -h // 10, 2), slice(w // 10, -w // 10, 2))
    patient = signal[inner] > 0.8
    chosen = image[inner][patient & (beam[inner] > 0.5)]
    ends = np.percentile(chosen, [1.0, 97.0]) if chosen.size > 64 else [image.min(), image.max()]
    low, high = (float(end) for end in ends)
    t = (image - low) / max(high - low, 1e-3)
    # The curve is tabulated over the window's range: -0.12 becomes black, 1.15 white.
    at = np.linspace(-0.12, 1.15, 1025)
    sigmoid = 1.0 / (1.0 + np.exp(-device.contrast * (at - 0.5 + device.brightness)))
    curve = ((sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0])) ** device.toe
    grey = ((device.floor + (1.0 - device.floor) * curve) * 255.0 + 0.5).astype(np.uint8)
    index = np.clip((t + np.float32(0.12)) * np.float32(1024 / 1.27), 0, 1024).astype(np.intp)
    pixels: NDArray[np.uint8] = grey[index]
    if device.shutter:
        pixels = pixels * (beam > 0.5)
    return pixels
