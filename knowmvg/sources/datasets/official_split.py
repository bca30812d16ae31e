"""The names that releases give their splits, and ours."""

from __future__ import annotations

from knowmvg.sources.datasets.tables import UnusableError

_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
}


def official_split(name: str) -> str:
    """``train``, ``val`` or ``test`` for a split as a release calls it. Raises ``UnusableError`` for another name."""
    found = _NAMES.get(name.strip().casefold())
    if found is None:
        raise UnusableError("unknown split", f"none of {', '.join(_NAMES)}")
    return found
