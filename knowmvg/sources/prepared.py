"""``dataset.json`` of a prepared data set: where it comes from, and where its images lie.

The images of a prepared data set stay in the user's copy: rows name them relative to ``image_root`` here. Other
folders, such as simulated ones, hold their images themselves.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowmvg.core.errors import ManifestError

PREPARED_SCHEMA = "knowmvg.prepared/1"
DATASET_FILE = "dataset.json"
_MAX_BYTES = 64 * 2**20


class PreparedNotes(BaseModel):
    """What ``dataset.json`` says of a prepared data set.

    ``fingerprint`` is the SHA-256 of ``manifest.jsonl``, ``ids_sha256`` that of the identifiers in its order, one a
    line. ``counts`` is by split (an empty name: no split), ``faults`` by kind: rows mended and rows left out.
    ``checksums`` says of each annotation file whether it is the published one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: str = Field(default=PREPARED_SCHEMA, alias="schema", pattern=f"^{PREPARED_SCHEMA}$")
    knowmvg: str
    name: str
    version: str
    licence: str
    credentialed: bool
    source: str
    notes: tuple[str, ...] = ()
    image_root: str
    checksums: dict[str, str] = Field(default_factory=dict)
    made_with: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, dict[str, Any]]
    faults: dict[str, dict[str, int]] = Field(default_factory=dict)
    fingerprint: str
    ids_sha256: str


def prepared_notes(folder: Path) -> PreparedNotes | None:
    """What is known of a data set folder that ``knowmvg prepare`` wrote, or ``None`` for any other folder.

    Raises ``ManifestError`` for a damaged ``dataset.json``.
    """
    path = folder / DATASET_FILE
    try:
        state = path.stat()
    except OSError:
        return None
    return _read(path, state.st_mtime_ns, state.st_size)


def image_root(folder: Path) -> Path:
    """The folder that the ``image`` of a row is relative to: the data set folder itself unless its notes say else.

    Raises:
        ManifestError: damaged notes, or images that have been moved.
    """
    notes = prepared_notes(folder)
    if notes is None:
        return folder
    root = folder / notes.image_root
    if not root.is_dir():
        todo = f"Mount it, or correct image_root in {folder / DATASET_FILE}."
        raise ManifestError(f"the images of {folder}", f"no folder at {root}", todo)
    return root


def image_path(folder: Path, image: str) -> Path:
    """The file of a row's image.

    Raises:
        ManifestError: as ``image_root``, or a path that leads out of it, by itself or by a symbolic link.
    """
    notes = prepared_notes(folder)
    if notes is None:
        return folder / image
    path = path_within(image_root(folder), image)
    if path is None:
        raise ManifestError(f"an image inside {notes.image_root}", "a path that leads out of it", "Prepare it again.")
    return path


def path_within(root: Path, name: str) -> Path | None:
    """``root / name``, or ``None`` where that lies outside ``root``: an absolute path, ``..`` or a symbolic link."""
    if not name or "\0" in name or Path(name).is_absolute():
        return None
    path = root / name
    real, inside = os.path.realpath(path), _real(root.absolute())
    return path if os.path.commonpath([real, inside]) == inside and real != inside else None


@lru_cache(maxsize=64)
def _real(root: Path) -> str:
    return os.path.realpath(root)


@lru_cache(maxsize=64)
def _read(path: Path, _changed: int, size: int) -> PreparedNotes | None:
    expected = f"a {PREPARED_SCHEMA} file"
    try:
        if size > _MAX_BYTES:
            raise ValueError
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and data.get("schema") != PREPARED_SCHEMA:
            return None
        return PreparedNotes.model_validate(data)
    except (OSError, ValidationError, ValueError) as error:
        got = f"{path} is damaged ({type(error).__name__})"
        raise ManifestError(expected, got, "Prepare the data set again.") from error
