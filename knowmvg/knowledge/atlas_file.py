"""Reading an atlas: a folder of YAML files that are read as one, or a single file.

``<side>`` stands for left and right, and ``devices`` are findings of the kind ``device``. What is wrong is told with
its file and line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from knowmvg.core.errors import KnowledgeError

MAX_BYTES = 2**20
MAX_FILES = 50
LISTS = ("zones", "sites", "findings")
_DEVICES = "devices"
_PAIRED = "<side>"
# libyaml is ten times as fast; the wheels of PyYAML hold it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class AtlasText:
    """The content of an atlas, not yet validated, and the place (file and line) of each entry of its lists."""

    content: Any
    places: dict[str, list[str]] = field(default_factory=dict)

    def place(self, group: str, number: int) -> str | None:
        """Where an entry stands, ``findings.yaml, line 12``; ``None`` where that is not known."""
        places = self.places.get(group, [])
        return places[number] if number < len(places) else None

    def place_of(self, name: str) -> str | None:
        """Where the first entry of this name stands."""
        for group in LISTS:
            for number, entry in enumerate(self.content.get(group, ())):
                if isinstance(entry, dict) and entry.get("name") == name:
                    return self.place(group, number)
        return None


def read_atlas(path: Path) -> AtlasText:
    """The content of an atlas file, or of all ``*.yaml`` files of a folder, with both sides of what is said once.

    Raises:
        KnowledgeError: a file is missing, too large, not UTF-8 or not plain YAML, or two files contradict each other.
    """
    if not path.is_dir():
        raw, lines = _read_file(path)
        return _joined([(path, raw, lines)]) if isinstance(raw, dict) else AtlasText(raw)
    files = sorted(path.glob("*.yaml"))
    if not 0 < len(files) <= MAX_FILES:
        expected = f"an atlas folder with 1 to {MAX_FILES} files *.yaml"
        raise KnowledgeError(expected, f"{len(files)} in {path}", "Copy the shipped one: `knowmvg kg atlas my-atlas`.")
    parts = [(file, *_read_file(file)) for file in files]
    for file, raw, _ in parts:
        if not isinstance(raw, dict):
            raise KnowledgeError("a part of an atlas with `schema:` and lists", f"another content in {file}", _HEADS)
    return _joined(parts)


_HEADS = "The comments at the heads of the shipped files explain the format."


def _read_file(path: Path) -> tuple[Any, dict[str, list[int]]]:
    """The content of a file and the line of each entry of its lists."""
    expected = f"an atlas file of at most {MAX_BYTES} bytes"
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise KnowledgeError(expected, f"{size} bytes at {path}", "Give the right file.")
        loader = _Loader(path.read_text(encoding="utf-8"))
        try:
            root = loader.get_single_node()
            _refuse_odd(root, path)
            return (None if root is None else loader.construct_document(root)), _lines(root)
        finally:
            loader.dispose()
    except OSError as error:
        raise KnowledgeError(expected, f"{error.strerror} at {path}", "Give an existing file.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise KnowledgeError("an atlas in YAML and UTF-8", f"{reason} in {path}", "Correct the file.") from error


def _refuse_odd(root: yaml.Node | None, path: Path) -> None:
    """Refuse aliases, which can make a small file expand without bound, and keys that are given twice."""
    seen: set[int] = set()
    waiting = [] if root is None else [root]
    while waiting:
        node = waiting.pop()
        line = node.start_mark.line + 1
        if id(node) in seen:
            raise KnowledgeError("an atlas without YAML aliases", f"an alias of line {line} in {path}", "Write it out.")
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for key in keys:
                if keys.count(key) > 1:
                    got = f"{key!r} twice in the entry at line {line} of {path}"
                    raise KnowledgeError("each key once in an entry", got, "Join the two.")
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _lines(root: yaml.Node | None) -> dict[str, list[int]]:
    if not isinstance(root, yaml.MappingNode):
        return {}
    return {
        key.value: [entry.start_mark.line + 1 for entry in value.value]
        for key, value in root.value
        if isinstance(value, yaml.SequenceNode)
    }


def _joined(parts: Iterable[tuple[Path, dict[str, Any], dict[str, list[int]]]]) -> AtlasText:
    content: dict[str, Any] = {"sources": {}, **{group: [] for group in LISTS}}
    places: dict[str, list[str]] = {group: [] for group in LISTS}
    for path, raw, lines in parts:
        for key, value in raw.items():
            if key == "sources":
                content[key] = _sources(content[key], value, path)
            elif key in (*LISTS, _DEVICES):
                if not isinstance(value, list):
                    raise KnowledgeError(f"a list of {key} in {path}", type(value).__name__, _HEADS)
                group = "findings" if key == _DEVICES else key
                for entry, line in zip(value, lines[key], strict=True):
                    written = _both_sides(key, entry)
                    content[group] += written
                    places[group] += [f"{path.name}, line {line}"] * len(written)
            elif content.setdefault(key, value) != value:
                raise KnowledgeError(f"one {key} in all files", f"{value!r} in {path}", "Make them equal.")
    return AtlasText(content, places)


def _sources(known: dict[str, Any], more: Any, path: Path) -> dict[str, Any]:
    if not isinstance(more, dict):
        raise KnowledgeError(f"sources as `key: citation` in {path}", type(more).__name__, _HEADS)
    if twice := sorted(map(str, known.keys() & more.keys())):
        raise KnowledgeError("each key of `sources` once", f"{twice[0]!r} again in {path}", "Remove one of the two.")
    return known | more


def _both_sides(group: str, entry: Any) -> list[Any]:
    """What is written once with ``<side>`` for both; what is not understood is left for the validation."""
    if not isinstance(entry, dict):
        return [entry]
    if group == "sites" and _PAIRED in str(entry.get("name")):
        return [{key: _on(value, side) for key, value in entry.items()} | {"side": side} for side in ("left", "right")]
    if group == _DEVICES:
        entry = entry | {"kind": "device"}
    if group in ("findings", _DEVICES) and isinstance(entry.get("sites"), list):
        entry = entry | {"sites": [one for name in entry["sites"] for one in _each(name)]}
    return [entry]


def _on(value: Any, side: str) -> Any:
    if isinstance(value, list):
        return [_on(part, side) for part in value]
    return value.replace(_PAIRED, side) if isinstance(value, str) else value


def _each(name: Any) -> list[Any]:
    return [_on(name, side) for side in ("left", "right")] if _PAIRED in str(name) else [name]
