"""Reading an atlas file: plain YAML in which ``<side>`` stands for left and right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from knowmvg.core.errors import KnowledgeError

MAX_BYTES = 2**20
_PAIRED = "<side>"


def read_atlas_file(path: Path) -> Any:
    """The content of an atlas file, with both sides of what it says once with ``<side>``; not yet validated.

    Raises:
        KnowledgeError: the file is missing, too large, not UTF-8 or not plain YAML.
    """
    expected = f"an atlas file of at most {MAX_BYTES} bytes"
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise KnowledgeError(expected, f"{size} bytes at {path}", "Give the right file.")
        text = path.read_text(encoding="utf-8")
        # Aliases can make a small file expand without bound.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise KnowledgeError("an atlas without YAML aliases", f"an alias in {path}", "Write the entry out.")
        raw = yaml.safe_load(text)
    except OSError as error:
        raise KnowledgeError(expected, f"{error.strerror} at {path}", "Give an existing file.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise KnowledgeError("an atlas in YAML and UTF-8", f"{reason} in {path}", "Correct the file.") from error
    return _expand(raw) if isinstance(raw, dict) else raw


def _expand(raw: dict[str, Any]) -> dict[str, Any]:
    """Both sides of what is written once with ``<side>``; what is not understood is left for the validation."""
    expanded = dict(raw)
    if isinstance(raw.get("sites"), list):
        expanded["sites"] = [site for entry in raw["sites"] for site in _each_side(entry)]
    if isinstance(raw.get("findings"), list):
        expanded["findings"] = [_with_sides(entry) for entry in raw["findings"]]
    return expanded


def _each_side(entry: Any) -> list[Any]:
    if not isinstance(entry, dict) or _PAIRED not in str(entry.get("name")):
        return [entry]
    return [
        {key: value.replace(_PAIRED, side) if isinstance(value, str) else value for key, value in entry.items()}
        | {"side": side}
        for side in ("left", "right")
    ]


def _with_sides(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("sites"), list):
        return entry
    sites = []
    for name in entry["sites"]:
        paired = isinstance(name, str) and _PAIRED in name
        sites += [name.replace(_PAIRED, side) for side in ("left", "right")] if paired else [name]
    return entry | {"sites": sites}
