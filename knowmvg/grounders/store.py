"""A model folder of any grounding system: ``config.json`` says which, and its package reads the rest.

Nothing but safetensors, JSON and YAML is ever read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ModelError
from knowmvg.core.grounder import Grounder
from knowmvg.grounders.device import device_or_best
from knowmvg.grounders.hub import missing_model

FORMAT = "knowmvg.grounder/1"
SYSTEMS = {
    "coordinates": "knowmvg.grounders.coordinates.store",
    "diffusion": "knowmvg.grounders.diffusion.store",
    "prompted": "knowmvg.grounders.prompted.store",
}
"""The module of each system, with ``load(folder, device)`` and ``files_of(folder)``; imported when a folder asks."""
LARGEST = 16 * 2**20  # bytes of config.json


def load_grounder(folder: Path, device: str | None = None) -> Grounder:
    """Read a grounder onto ``device``; without one, onto a GPU where torch sees one.

    Raises ``ModelError`` for a folder that is missing, incomplete, damaged, of another version or system.
    """
    load: Callable[[Path, str], Grounder] = _system(folder).load
    return load(folder, device_or_best(device))


def fingerprint(folder: Path) -> str:
    """SHA-256 of the model's files, the same for copies; a card beside them does not count.

    Raises ``ModelError`` for a folder that is missing or incomplete.
    """
    state = hashlib.sha256()
    for path in model_files(folder):
        try:
            with path.open("rb") as stream:  # by pieces: a merged model has files of many gigabytes
                state.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            todo = "Give a folder that `knowmvg train` wrote."
            raise ModelError("a whole model folder", f"no {path.name} in {folder}", todo) from error
    return state.hexdigest()


def model_files(folder: Path) -> list[Path]:
    """The files that the model is made of, in the order of its fingerprint. Raises ``ModelError`` for no model."""
    files: Sequence[Path] = _system(folder).files_of(folder)
    return list(files)


def read_config(folder: Path) -> dict[str, Any]:
    """The ``config.json`` of a model folder. Raises ``ModelError`` for none, a damaged one or another version's."""
    path = folder / "config.json"
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"at most {LARGEST} bytes", f"more in {path}", "Copy or train the model again.")
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise missing_model(folder) from error
    except ValueError as error:
        raise ModelError("JSON", f"a damaged {path}", "Copy or train the model again.") from error
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise ModelError(f"format {FORMAT}", f"{found!r} in {path}", "Use the knowmvg version that wrote it.")
    return dict(config)


def _system(folder: Path) -> Any:
    name = read_config(folder).get("system")
    if name not in SYSTEMS:
        known = ", ".join(SYSTEMS)
        raise ModelError(f"a system among {known}", f"{name!r} in {folder}", "Use the knowmvg version that wrote it.")
    return import_module(SYSTEMS[name])
