"""Result files that appear together or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from knowmvg.core.errors import OutputError


def check_free(folder: Path, names: tuple[str, ...], *, overwrite: bool) -> None:
    """Make sure, before any work is done, that files of these names may be written into ``folder``.

    Raises:
        OutputError: ``folder`` is a file, or holds such files and ``overwrite`` is false.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError("a folder for the results", f"a file at {folder}", "Give another path.")
    present = [name for name in names if (folder / name).exists()]
    if present and not overwrite:
        raise OutputError(
            "a folder without earlier results",
            f"{' and '.join(present)} in {folder}",
            "Give another folder, or --overwrite to replace them.",
        )


def write_together(folder: Path, files: Mapping[str, bytes], outdated: Sequence[Path] = ()) -> list[Path]:
    """Write all ``files`` (name to content) into ``folder``, which is made where it is missing.

    A name may hold a folder. When all are in place, the ``outdated`` files of an earlier result that were not replaced
    are removed.

    The contents are written to a hidden folder beside their places first and then moved; if a move fails, those before
    it are undone, so that neither a half file nor half of the files is ever left.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    inner = sorted({(folder / name).parent for name in files} - {folder})
    made = [missing for place in (*inner, folder) for missing in _missing_parents(place)]
    try:
        for place in (folder, *inner):
            place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part:
            for name, content in files.items():
                (Path(part) / name).parent.mkdir(exist_ok=True)
                _write(Path(part) / name, content)
            written = _move_all(Path(part), folder, list(files))
        for path in set(outdated) - set(written):
            path.unlink(missing_ok=True)
        return written
    except BaseException as error:
        for parent in made:
            _remove_if_empty(parent)
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
            raise OutputError(
                "a folder that can be written", f"{reason} at {folder}", "Check its rights and the free space."
            ) from error
        raise


def _move_all(part: Path, folder: Path, names: list[str]) -> list[Path]:
    moved: list[str] = []
    try:
        for name in names:
            if (folder / name).exists():
                (folder / name).replace(part / f"{name}.before")
            (part / name).replace(folder / name)
            moved.append(name)
    except BaseException:
        for name in names:
            if name in moved:
                (folder / name).unlink(missing_ok=True)
            if (part / f"{name}.before").exists():
                (part / f"{name}.before").replace(folder / name)
        raise
    return [folder / name for name in names]


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _missing_parents(folder: Path) -> list[Path]:
    """The folders that ``mkdir`` would make, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # not made, or in use by now
        return
