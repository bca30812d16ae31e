"""Files compared with the ``SHA256SUMS.txt`` that PhysioNet publishes beside them (a digest and a path a line)."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.reader import Fault
from knowmvg.sources.datasets.tables import UnusableError

SUMS = "SHA256SUMS.txt"
MAX_LINE = 4_096
AS_PUBLISHED, CHANGED, UNLISTED, NO_SUMS = "as published", "not as published", "not listed", f"no {SUMS}"

_LINE = re.compile(rb"([0-9a-fA-F]{64})[ \t]+\*?(?:\./)?(.+)")


def published(path: Path, root: Path) -> str:
    """Whether a file is the published one, by the list in its folder or in one above it, up to ``root``.

    Raises ``ManifestError`` for a list that cannot be read.
    """
    folders = [path.parent, *path.parent.parents]
    inside = folders[: folders.index(root) + 1] if root in folders else folders[:1]
    for folder in inside:
        sums = folder / SUMS
        if sums.is_file():
            name = path.relative_to(folder).as_posix().encode()
            listed = next((digest for digest, entry in _entries(sums) if entry == name), None)
            if listed is None:
                return UNLISTED
            return AS_PUBLISHED if _digest(path) == listed else CHANGED
    return NO_SUMS


def changed_file(path: Path) -> Fault:
    """The fault of an annotation file that is not the published one; it is read all the same."""
    return Fault("wrong hash", path.name, None, f"the file differs from its digest in {SUMS}", kept=True)


class Checksums:
    """The list of a folder of images in memory, 48 bytes a file (18 MB for 377,110 images)."""

    def __init__(self, root: Path) -> None:
        """Raises ``ManifestError`` where ``root`` has no list, or one that cannot be read."""
        sums = root / SUMS
        if not sums.is_file():
            raise ManifestError(f"{SUMS} in {root}", "none", "Download it, or leave out --verify.")
        names, self._digests = array("Q"), bytearray()
        for digest, name in _entries(sums):
            names.append(_key(name))
            self._digests += digest
        unordered = np.frombuffer(names, dtype=np.uint64) if names else np.empty(0, dtype=np.uint64)
        self._order = np.argsort(unordered)
        self._names = unordered[self._order]

    def check(self, path: Path, name: str) -> None:
        """Raise ``UnusableError`` unless the file has its published digest; one that is not listed has none."""
        key = np.uint64(_key(name.encode()))
        place = int(np.searchsorted(self._names, key))
        if place == len(self._names) or self._names[place] != key:
            raise UnusableError("wrong hash", f"the image is not listed in {SUMS}")
        start = 32 * int(self._order[place])
        if bytes(self._digests[start : start + 32]) != _digest(path):
            raise UnusableError("wrong hash", f"the image differs from its digest in {SUMS}")


def _key(name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


def _digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _entries(sums: Path) -> Iterator[tuple[bytes, bytes]]:
    """Digest and path of each line."""
    with sums.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE), b""), 1):
            if not line.strip():
                continue
            match = _LINE.fullmatch(line.strip())
            if match is None:
                got = f"another line {number} of {sums}"
                raise ManifestError("a SHA-256 digest and a path a line", got, "Download it again, or remove it.")
            yield bytes.fromhex(match[1].decode()), match[2]
