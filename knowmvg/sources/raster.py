"""PNG and JPEG to display pixels.

A raster file says nothing of windows or polarity: its grey values are taken as a viewer shows them. Orientation from
EXIF is applied, so sizes and boxes are those of the upright image; colour becomes luminance (ITU-R 601).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from knowmvg.core.errors import ImageError
from knowmvg.core.records import Radiograph
from knowmvg.sources.limits import check_size, refusal

EXPECTED = "an intact PNG or JPEG of one radiograph"
_ORIENTATION = 0x0112
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def read_raster(path: Path) -> Radiograph:
    """Read a PNG or JPEG file of 1 to 16 bits, grey, palette or colour.

    A 16-bit grey image is divided by the largest value of the smallest depth among 8, 10, 12, 14 and 16 bits that
    holds its maximum, because scanners store 10- to 14-bit pixels in 16-bit files; the depth, if not 16, is a warning.

    Raises:
        ImageError: the file is damaged, animated, not PNG or JPEG, or larger than the limits of ``limits.py``.
    """
    notes: list[str] = []
    with _opened(path) as image:
        upright = _upright(image, notes)
        pixels = _grey(upright, notes)
    if pixels.min() == pixels.max():
        notes.append("the image is blank: one grey value everywhere")
    return Radiograph(pixels, warnings=tuple(notes))


def raster_size(path: Path) -> tuple[int, int]:
    """``(width, height)`` of the upright image, without decoding it.

    A PNG file's orientation is seen only where it stands before the pixels. Raises ``ImageError`` as ``read_raster``.
    """
    with _opened(path) as image:
        known = image.format == "JPEG" or "exif" in image.info  # else Pillow would decode the PNG to look for it
        turn = image.getexif().get(_ORIENTATION, 1) if known else 1
        width, height = image.size
    return (height, width) if turn in range(5, 9) else (width, height)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file with its header read and checked; whatever is raised inside becomes an ``ImageError``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                check_size(path, *image.size)
                _refuse_sequence(path, image)
                yield image
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise refusal(path, EXPECTED, "far too many pixels", "Shrink the image.") from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error and more for damaged files
        got = f"damaged or cut short ({type(error).__name__})"
        raise refusal(path, EXPECTED, got, "Copy or export the file again.") from error


def _refuse_sequence(path: Path, image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise refusal(path, EXPECTED, f"{frames} pictures in one file", "Give one picture a file.")


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    turn = image.getexif().get(_ORIENTATION, 1)
    image.load()
    if turn in range(2, 9):
        notes.append("turned upright as the file's EXIF orientation says; sizes and boxes are of the upright image")
        return ImageOps.exif_transpose(image)
    return image


def _grey(image: Image.Image, notes: list[str]) -> NDArray[np.float32]:
    if image.mode in _SIXTEEN_BIT:
        return _deep_grey(image, notes)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = _flattened(image.convert("RGBA"), notes)
    if image.mode not in ("1", "L"):
        image = image.convert("RGB")
        _note_colour(image, notes)
    return np.asarray(np.asarray(image.convert("L")) / np.float32(255), dtype=np.float32)


def _deep_grey(image: Image.Image, notes: list[str]) -> NDArray[np.float32]:
    values = np.asarray(image).astype(np.int32)
    peak = int(values.max())
    depth = next((bits for bits in (8, 10, 12, 14) if peak < 2**bits), 16)
    if depth < 16:
        notes.append(f"the 16-bit file holds values of {depth} bits and was scaled as {depth}-bit")
    return np.asarray(values / (2**depth - 1), dtype=np.float32)


def _flattened(image: Image.Image, notes: list[str]) -> Image.Image:
    if np.asarray(image.getchannel("A")).min() < 255:
        notes.append("transparent pixels were laid on black")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB")


def _note_colour(image: Image.Image, notes: list[str]) -> None:
    """A coloured pixel differs by more than 32 of 255 between channels; a few are marks, 1 % make a colour image."""
    channels = np.asarray(image)
    spread = channels.max(axis=2) - channels.min(axis=2)
    if (spread > 32).mean() > 0.01:
        notes.append("colour image: read as luminance; a radiograph has no colour")
