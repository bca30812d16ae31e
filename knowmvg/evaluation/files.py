"""Result files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

from knowmvg.sources.whole_files import whole_file


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file, whole; the folder is made where it is missing. Raises ``OutputError`` where it cannot be."""
    with whole_file(path) as stream:
        stream.write(text)
