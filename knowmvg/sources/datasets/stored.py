"""Images by the names that a data set gives them: allowed names, sizes in pixels, boxes as fractions of an image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from knowmvg.core.errors import ImageError
from knowmvg.sources.datasets.placing import box_from_xyxy
from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.image import image_size
from knowmvg.sources.manifest import Box
from knowmvg.sources.prepared import path_within

_IDENTIFIER = re.compile(r"[\w-][\w.-]{0,199}", re.ASCII)
_BEYOND = 0.5  # of a side; a number further out is no fraction


def identifier(text: str) -> str:
    """A text that may be part of a file's name: letters, digits, ``_``, ``-`` and dots. Raises ``UnusableError``."""
    if not _IDENTIFIER.fullmatch(text):
        raise UnusableError("odd identifier", "none of letters, digits, '_', '-' and dots, at most 200")
    return text


def stored_size(root: Path, name: str) -> tuple[int, int]:
    """``(width, height)`` of an image in pixels, from its header.

    For sets whose boxes are fractions of the image; elsewhere ``prepare`` looks. Raises ``UnusableError`` for an image
    that is missing, cannot be read, or lies outside ``root`` by its name or by a symbolic link.
    """
    path = path_within(root, name)
    if path is None:
        raise UnusableError("image outside", "the image's path leads out of the folder of images")
    try:
        return image_size(path)
    except ImageError as error:
        kind = "unreadable image" if path.exists() else "missing image"
        raise UnusableError(kind, error.got) from error


def box_from_fractions(corners: Sequence[float], size: tuple[int, int]) -> Box:
    """A box in pixels from two corners as fractions of an image's sides; it may lie a little outside.

    Raises ``UnusableError`` for one without area, or with numbers that are no fractions (pixels, say).
    """
    if min(corners) < -_BEYOND or max(corners) > 1 + _BEYOND:
        raise UnusableError("not normalised", "expected fractions of the image's sides from 0 to 1")
    x1, y1, x2, y2 = corners
    return box_from_xyxy(x1 * size[0], y1 * size[1], x2 * size[0], y2 * size[1])
