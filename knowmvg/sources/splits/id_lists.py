"""Lists of ids that say which split a patient, a study or an image is in, and how they are published.

A list can be given away without the data. For credentialed sets it can hold HMAC-SHA256 values of the ids under a
secret salt instead: whoever has the data and the salt can apply it, the list alone names nobody. The salt has to stay
among holders of the licence, because ids of a known form can be tried one after the other by anyone who has it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ManifestError
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.splits.names import SPLITS, Split, Unit, ids_of

SPLITS_SCHEMA = "knowmvg.splits/1"
MAX_LIST_BYTES = 256 * 2**20
MAX_ID_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class IdLists:
    """Splits by id. ``unit`` is ``None`` where the lists do not say what they name; ``salt`` is set for hashed ids."""

    ids: Mapping[str, Split]
    unit: Unit | None = None
    salt: bytes | None = None

    def find(self, row: StudyRow, unit: Unit) -> str | None:
        """The listed id that names the row, or ``None``."""
        for name in ids_of(row, unit):
            key = name if self.salt is None else hashed_id(name, self.salt)
            if key in self.ids:
                return key
        return None


def read_id_lists(sources: Iterable[str], salt: bytes | None = None) -> IdLists:
    """The lists in files.

    Args:
        sources: each a JSON file (``{"train": [...], ...}`` or a published ``splits.json``), a folder with
            ``train.txt``, ``val.txt`` and ``test.txt`` (those that it has), or ``SPLIT=FILE`` with one id a line, lines
            after ``#`` left out, or a JSON array.
        salt: of hashed ids.

    Raises:
        ManifestError: a file that is missing, too large or in another form, an id in two splits, no id at all, a
            published list that has been changed, hashed ids without the salt.
    """
    found: dict[str, tuple[Split, str]] = {}
    units: set[Unit | None] = set()
    for source in sources:
        unit, entries = _open(source, salt)
        units.add(unit)
        for split, name, where in entries:
            before = found.setdefault(name, (split, where))
            if before[0] != split:
                todo = "Take it out of one of the lists."
                raise ManifestError(
                    "each id in one split", f"one in {before[0]} ({before[1]}) and {split} ({where})", todo
                )
    if not found:
        raise ManifestError("lists with ids", "none in the files", "Give one id a line, or JSON.")
    if len(units) > 1:
        raise ManifestError("lists of one kind of id", "published lists of several kinds", "Give one of them.")
    return IdLists({name: split for name, (split, _) in found.items()}, units.pop(), salt)


def hashed_id(name: str, salt: bytes) -> str:
    """HMAC-SHA256 of an id under the salt, in hexadecimal."""
    return hmac.new(salt, name.encode(), hashlib.sha256).hexdigest()


def salt_name(salt: bytes) -> str:
    """What a published list says of its salt, so that a wrong one is noticed."""
    return hashlib.sha256(b"knowmvg.salt/1\n" + salt).hexdigest()[:16]


def read_salt(path: Path) -> bytes:
    """The salt in a file of one line. Raises ``ManifestError`` for a missing file or fewer than 16 characters."""
    text = _text(path).strip()
    if len(text) < 16:
        raise ManifestError("a salt of at least 16 characters", f"{len(text)} in {path}", "Take the one of the lists.")
    return text.encode()


def list_digest(ids: Iterable[str]) -> str:
    """SHA-256 of the sorted ids, one a line: what ``sha256sum`` says of the published file."""
    state = hashlib.sha256()
    for name in sorted(ids):
        state.update(f"{name}\n".encode())
    return state.hexdigest()


_Entries = Iterator[tuple[Split, str, str]]


def _open(source: str, salt: bytes | None) -> tuple[Unit | None, _Entries]:
    """What the ids name, where the file says so, and the ids with split and place."""
    split, mark, file = source.partition("=")
    if mark and split in SPLITS:
        path = Path(file)
        values = _json(path) if path.suffix == ".json" else None
        return None, _lines(path, split) if values is None else _array(values, split, path)
    path = Path(source)
    if path.is_dir():
        files = {split: path / f"{split}.txt" for split in SPLITS if (path / f"{split}.txt").is_file()}
        return None, (entry for split, file_ in files.items() for entry in _lines(file_, split))
    if path.suffix != ".json":
        todo = "Name the split, as test=FILE, or give a JSON file or a folder with train.txt, val.txt and test.txt."
        raise ManifestError("lists that say their split", f"{source}", todo)
    values = _json(path)
    if isinstance(values, dict) and "schema" in values:
        return _published(values, path, salt)
    if not isinstance(values, dict) or not set(values) <= set(SPLITS):
        raise ManifestError("an object with train, val and test", f"other content in {path}", "Correct the file.")
    return None, (entry for split in SPLITS for entry in _array(values.get(split, []), split, path))


def _published(values: dict[str, Any], path: Path, salt: bytes | None) -> tuple[Unit, _Entries]:
    try:
        if values["schema"] != SPLITS_SCHEMA:
            raise ManifestError(f"schema {SPLITS_SCHEMA}", f"another one in {path}", "Convert the lists.")
        unit, salted = Unit(values["unit"]), values.get("salt")
        lists = {split: (path.parent / values["splits"][split]["list"], values["splits"][split]) for split in SPLITS}
        wanted = {split: str(entry["sha256"]) for split, (_, entry) in lists.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"lists of schema {SPLITS_SCHEMA}", f"a gap in {path}", "Copy the file again.") from error
    if salted is not None and (salt is None or salt_name(salt) != salted):
        got = "no salt" if salt is None else "another salt"
        raise ManifestError(f"the salt {salted} of the hashed ids in {path}", got, "Give it with --salt FILE.")
    if salted is None and salt is not None:
        raise ManifestError("hashed ids, as a salt was given", f"plain ids in {path}", "Leave out --salt.")
    missing = [file for file, _ in lists.values() if not file.is_file()]
    if missing:
        raise ManifestError(f"the lists that {path} names, beside it", f"no {missing[0]}", "Copy their folder with it.")
    for split, (file, _) in lists.items():
        if list_digest(name for _, name, _ in _lines(file, split)) != wanted[split]:
            raise ManifestError(f"the ids that {path} describes", f"others in {file}", "Copy both files again.")
    return unit, (entry for split, (file, _) in lists.items() for entry in _lines(file, split))


def _lines(path: Path, split: Split) -> _Entries:
    for number, line in enumerate(_text(path).splitlines(), 1):
        name = line.strip()
        if name and not name.startswith("#"):
            yield split, _checked(name, f"{path}, line {number}"), f"{path}, line {number}"


def _array(values: Any, split: Split, path: Path) -> _Entries:
    if not isinstance(values, list):
        raise ManifestError("an array of ids", f"{type(values).__name__} for {split} in {path}", "Correct the file.")
    for number, value in enumerate(values, 1):
        where = f"{path}, {split}, entry {number}"
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ManifestError("an id", f"{type(value).__name__} at {where}", "Write ids as text or whole numbers.")
        yield split, _checked(str(value).strip(), where), where


def _checked(name: str, where: str) -> str:
    if not 0 < len(name) <= MAX_ID_CHARACTERS or not name.isprintable():
        got = f"{len(name)} characters or a control character at {where}"
        raise ManifestError(f"an id of 1 to {MAX_ID_CHARACTERS} characters", got, "Correct the list.")
    return name


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ManifestError("well-formed JSON", f"none in {path}{line}", "Correct the file.") from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise ManifestError(f"at most {MAX_LIST_BYTES // 2**20} MiB", f"more in {path}", "Give lists of ids.")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "no UTF-8 text"
        raise ManifestError("a readable list of ids", f"{reason} at {path}", "Check the path.") from error
