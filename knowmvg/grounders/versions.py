"""The software behind a result."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version

from knowmvg import __version__


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    packages = ("torch", "transformers", "numpy")
    return (("knowmvg", __version__), ("python", platform.python_version()), *((p, version(p)) for p in packages))


def software_versions() -> dict[str, str]:
    """Names and versions of what computed a grounding."""
    return dict(_versions())
