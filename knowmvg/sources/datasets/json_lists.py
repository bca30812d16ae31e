"""Lists in JSON files one element at a time, with its place for messages; never the whole file in memory."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

import ijson

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.reader import Fault
from knowmvg.sources.datasets.tables import UnusableError, finite

MAX_BYTES = 16 * 2**30  # unpacked
MAX_OBJECT = 64 * 2**20
MAX_DEPTH = 64
MAX_TEXT = 1_000_000  # characters
_OPENING, _CLOSING = ("start_map", "start_array"), ("end_map", "end_array")
_MAGIC = b"\x1f\x8b"
_RESTORE = "Restore the published file, or correct it."


@dataclass(frozen=True, slots=True)
class JsonItem:
    """An object of a list; ``place`` counts from 1."""

    file: str
    place: int
    values: Mapping[str, Any]

    def text(self, key: str) -> str:
        """A text that must not be empty, without blanks around it. Raises ``UnusableError``."""
        value = self.optional(key)
        if value is None:
            raise UnusableError("empty field", f"nothing at {key!r}")
        return value

    def optional(self, key: str) -> str | None:
        """A text, or ``None`` where there is none. Raises ``UnusableError`` for anything else."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise UnusableError("wrong type", f"no text at {key!r}")
        if len(value) > MAX_TEXT or not _encodable(value):
            raise UnusableError("wrong type", f"no text of at most {MAX_TEXT} characters at {key!r}")
        return value.strip() or None

    def name(self, key: str) -> str:
        """An identifier: a text or a whole number, as text. Raises ``UnusableError``."""
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(key)

    def number(self, key: str) -> float:
        """A finite number. Raises ``UnusableError``."""
        return finite(self.values.get(key), repr(key))

    def items(self, key: str) -> list[Any]:
        """A list; none counts as empty. Raises ``UnusableError``."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, list):
            raise UnusableError("wrong type", f"no list at {key!r}")
        return value or []

    def fault(self, reason: UnusableError) -> Fault:
        """The element as left out, with what was wrong with it."""
        return Fault(reason.kind, self.file, self.place, reason.detail, kept=False)

    def mended(self, kind: str, detail: str) -> Fault:
        """The element as kept after something was put right."""
        return Fault(kind, self.file, self.place, detail, kept=True)


def numbers(value: Any, count: int, place: str) -> list[float]:
    """A list of so many finite numbers. Raises ``UnusableError``."""
    if not isinstance(value, list) or len(value) != count:
        raise UnusableError("wrong type", f"no list of {count} numbers in {place}")
    return [finite(part, place) for part in value]


def read_list(path: Path, key: str | None = None) -> Iterator[JsonItem | Fault]:
    """The objects of the list at ``key`` of the file's object, or of the list that the file is (``key`` is ``None``).

    UTF-8 with or without mark, or UTF-16 with mark; gzip by content, whatever the name. An element that is no object
    is a ``Fault`` that is left out.

    Raises:
        ManifestError: no such file, broken JSON (NaN and infinity included), or no such list.
    """
    place = 0
    for element in _elements(path, "item" if key is None else f"{key}.item"):
        place += 1
        if isinstance(element, dict):
            yield JsonItem(path.name, place, element)
        else:
            yield Fault("wrong type", path.name, place, "no JSON object", kept=False)
    if place == 0 and not has_list(path, key):
        where = "as its content" if key is None else f"at {key!r}"
        raise ManifestError(f"a JSON file with a list {where}", f"none in {path}", _RESTORE)


def has_list(path: Path, key: str | None = None) -> bool:
    """Whether there is a list at ``key``. Raises ``ManifestError`` for a file that is no JSON up to there."""
    with _reading(path) as stream:
        return any(prefix == (key or "") and event == "start_array" for prefix, event, _ in _events(path, stream))


def read_object(path: Path) -> Mapping[str, Any]:
    """A JSON file of at most ``MAX_OBJECT`` bytes that holds one object. Raises ``ManifestError`` for anything else."""
    with _reading(path) as stream:
        text = b"".join(iter(lambda: stream.read(1 << 20), b""))
        if len(text) > MAX_OBJECT:
            raise ManifestError(f"at most {MAX_OBJECT} bytes", f"{len(text)} in {path}", _RESTORE)
        found = json.loads(text, parse_constant=_no_number)
    if not isinstance(found, dict):
        raise ManifestError("a JSON object", f"something else in {path}", _RESTORE)
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"expected a number, got {name}")


def _elements(path: Path, prefix: str) -> Iterator[Any]:
    with _reading(path) as stream:
        yield from ijson.items(_events(path, stream), prefix)


def _events(path: Path, stream: _Utf8) -> Any:
    """The events with their prefixes, which grow with the depth: a file that is too deep is refused before."""
    return ijson.parse(_not_too_deep(path, ijson.basic_parse(stream, use_float=True)))


def _not_too_deep(path: Path, events: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    depth = 0
    for event in events:
        if event[0] in _OPENING:
            depth += 1
            if depth > MAX_DEPTH:
                raise ManifestError(f"JSON of at most {MAX_DEPTH} levels", f"more in {path}", _RESTORE)
        elif event[0] in _CLOSING:
            depth -= 1
        yield event


@contextmanager
def _reading(path: Path) -> Iterator[_Utf8]:
    """The file as UTF-8; whatever is wrong with it becomes a ``ManifestError``."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == _MAGIC
        with gzip.GzipFile(path, "rb") if packed else path.open("rb") as stream:
            yield _Utf8(path, cast(IO[bytes], stream))
    except (ijson.JSONError, ValueError, RecursionError) as error:
        got = f"{path} is no JSON in UTF-8 ({type(error).__name__})"
        raise ManifestError("a JSON file", got, _RESTORE) from error
    except (OSError, EOFError, zlib.error) as error:
        got = f"none at {path}" if isinstance(error, FileNotFoundError) else f"{type(error).__name__} at {path}"
        raise ManifestError("a JSON file", got, "Check the path, or download the file again.") from error


class _Utf8:
    """A stream whose bytes are UTF-8 without mark, of limited length, as the parser wants them."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._left, self._head = path, MAX_BYTES, stream.read(3)
        self._bytes, self._text = stream, None
        if self._head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            stream.seek(0)
            self._head, self._text = b"", TextIOWrapper(stream, encoding="utf-16")
        elif self._head == codecs.BOM_UTF8:
            self._head = b""

    def read(self, size: int = -1) -> bytes:
        """At most about ``size`` bytes; nothing at the end."""
        if size == 0:
            return b""
        if self._head:
            head, self._head = self._head, b""
            return head
        part = self._bytes.read(size) if self._text is None else self._text.read(size).encode()
        self._left -= len(part)
        if self._left < 0:
            raise ManifestError(f"at most {MAX_BYTES} bytes of JSON", f"more in {self._path}", "Split the file.")
        return part


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
