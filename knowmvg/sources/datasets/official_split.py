"""The split that a release gives a row."""

from __future__ import annotations

from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.splits.names import usual_split


def official_split(name: str) -> str:
    """``train``, ``val`` or ``test`` for a split as a release calls it. Raises ``UnusableError`` for another name."""
    found = usual_split(name)
    if found is None:
        raise UnusableError("unknown split", "none of train, validate and test, nor a usual word for one of them")
    return found
