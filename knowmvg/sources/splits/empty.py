"""What is told where a split that was asked for holds no study."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from knowmvg.core.errors import ManifestError
from knowmvg.sources.manifest import read_rows


def no_studies(folder: Path, split: str | None) -> ManifestError:
    """The error for a data set folder without a study, in a split or at all; it names the splits that hold some.

    Raises ``ManifestError`` itself where the manifest cannot be read.
    """
    counts = Counter(row.split for row in read_rows(folder))
    if split is None or not counts:
        todo = "Write the data set again: knowmvg prepare, or knowmvg phantom."
        return ManifestError(f"studies in {folder}", "a manifest.jsonl that lists none", todo)
    held = ", ".join(f"{number:,} in {name or 'no split'}" for name, number in sorted(counts.items()))
    todo = f"Name a split that holds studies, or divide them anew: knowmvg splits {folder}"
    return ManifestError(f"studies of the split {split!r} in {folder}", f"none there; {held}", todo)
