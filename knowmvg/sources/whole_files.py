"""Text files that appear whole or not at all, written line by line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from knowmvg.core.errors import OutputError


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A UTF-8 stream that takes the place of ``path`` when the block ends without an error, and is removed otherwise.

    Raises ``OutputError`` where the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise _refused(path, error) from error
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0o077)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines, each with its line end, whole or not at all. Raises ``OutputError`` as ``whole_file`` does."""
    with whole_file(path) as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _refused(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    return OutputError(f"a folder where {path.name} can be written", f"{reason} at {path}", "Choose another one.")
