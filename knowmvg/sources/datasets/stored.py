"""Images of a data set by the names that its tables give: which names are allowed, and how large the images are."""

from __future__ import annotations

import re
from pathlib import Path

from knowmvg.core.errors import ImageError
from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.image import image_size
from knowmvg.sources.prepared import path_within

_IDENTIFIER = re.compile(r"[\w-][\w.-]{0,199}", re.ASCII)


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
