"""What a model's folder says of it without being loaded: its system, its fingerprint, and whether it names phrases."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ModelError
from knowmvg.inference.chat_models import is_chat_model


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """``system``: prompted, diffusion or coordinates. ``fingerprint``: SHA-256 of its files, the same for copies.

    ``names_phrases``: whether it names the phrases of a report itself; for one that does not, the report parser does.
    """

    system: str
    fingerprint: str
    names_phrases: bool


def model_facts(folder: Path) -> ModelFacts:
    """The facts of a model folder of this package, or of a chat model's. Raises ``ModelError`` for neither."""
    if is_chat_model(folder):
        return ModelFacts("coordinates", chat_fingerprint(folder), _chat_names(folder))
    from knowmvg.grounders.store import fingerprint, read_config

    print_, config = fingerprint(folder), read_config(folder)  # the first refuses systems that are not known
    system = str(config["system"])
    return ModelFacts(system, print_, _names(system, config))


def chat_fingerprint(folder: Path) -> str:
    """SHA-256 of a published model's files as far as they are read: those at the folder's top, its page left out.

    Raises ``ModelError`` for a file that cannot be read.
    """
    from knowmvg.grounders.hub import PATTERNS

    state = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if any(fnmatch(path.name, p) for p in PATTERNS)):
        if path.name == "README.md":
            continue
        try:
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            raise ModelError("a whole model folder", f"no {path.name} in {folder}", "Copy it again.") from error
        state.update(path.name.encode() + b"\0" + content)
    return state.hexdigest()


def _chat_names(folder: Path) -> bool:
    from knowmvg.grounders.coordinates.conventions import CONVENTIONS

    family = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    if family not in CONVENTIONS:
        todo = "Name a model of one of these families (docs/coordinates.md)."
        raise ModelError(f"a model of type {', '.join(CONVENTIONS)}", f"{family} in {folder}", todo)
    return CONVENTIONS[family].naming is not None


def _names(system: str, config: dict[str, Any]) -> bool:
    if system != "coordinates":
        return system == "prompted"
    task = config.get("model", {}).get("task", {})
    return isinstance(task, dict) and task.get("naming") is not None
