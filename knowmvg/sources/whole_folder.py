"""A folder that appears whole or not at all: it grows beside its place and is moved there when it is complete."""

from __future__ import annotations

import shutil
from pathlib import Path

from knowmvg.core.errors import OutputError
from knowmvg.sources.prepared import DATASET_FILE


def check_free(out: Path, *, overwrite: bool) -> None:
    """Raise ``OutputError`` unless ``out`` is new, empty, or a data set that may be replaced."""
    if not out.name:
        raise OutputError("the name of a new folder", str(out), "Name the folder.")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        got = f"a file at {out}" if not out.is_dir() else f"files in {out}"
        raise OutputError("a new or empty folder", got, "Give another folder, or --overwrite.")
    if not (out / DATASET_FILE).is_file():
        todo = "Move it away yourself if it is not needed."
        raise OutputError(f"a data set to replace at {out}", f"something without {DATASET_FILE}", todo)


def partial_folder(out: Path) -> Path:
    """Where the work on ``out`` grows."""
    return out.with_name(f".{out.name}.part")


def move_into_place(part: Path, out: Path) -> None:
    """Put the finished folder in its place; one that it replaces is deleted only after that.

    Raises ``OutputError`` where it cannot be moved; what was there is then there again.
    """
    old = out.with_name(f".{out.name}.old")
    try:
        if old.exists():
            shutil.rmtree(old)
        if out.exists():
            out.rename(old)
        part.rename(out)
    except OSError as error:
        if old.exists() and not out.exists():
            old.rename(out)
        raise OutputError("a folder to write", f"{error.strerror} at {out}", "Choose another one.") from error
    shutil.rmtree(old, ignore_errors=True)
