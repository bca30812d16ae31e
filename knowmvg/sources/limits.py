"""What an image file may weigh. Every reader asks here before it decodes a pixel."""

from __future__ import annotations

from pathlib import Path

from knowmvg.core.errors import ImageError

MAX_FILE_BYTES = 256 * 2**20
MAX_PIXELS = 100_000_000
MIN_SIDE = 16


def refusal(path: Path, expected: str, got: str, todo: str) -> ImageError:
    """The error for ``path``; it names the file and nothing that the file says of a patient."""
    return ImageError(expected, f"{path.name!r}: {got}", todo)


def check_size(path: Path, width: int, height: int) -> None:
    """Raise ``ImageError`` for a picture with a side under ``MIN_SIDE`` or with more than ``MAX_PIXELS`` pixels."""
    if width < MIN_SIDE or height < MIN_SIDE:
        raise refusal(
            path,
            f"an image of at least {MIN_SIDE} x {MIN_SIDE} pixels",
            f"{width} x {height} pixels",
            "Give the full radiograph, not an icon.",
        )
    if width * height > MAX_PIXELS:
        raise refusal(
            path,
            f"an image of at most {MAX_PIXELS // 10**6} megapixels",
            f"{width} x {height} pixels",
            "Shrink the image; no chest radiograph needs that many.",
        )
