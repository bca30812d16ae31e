"""The pieces of a release's files: loose files, gzip files, numbered parts, and members of ZIP archives.

Understood are what MetamorphoSys writes (``META/MRCONSO.RRF``), files from the UMLS download page as ZIP, and the full
release unpacked once: archives ``*.nlm`` (ZIP) with ``META/MRCONSO.RRF.aa.gz``, ``.ab.gz`` and so on, which together,
decompressed, are one file cut anywhere. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from knowmvg.core.errors import KnowledgeError

MAX_MEMBERS = 20_000
ADVICE = "Give the META folder of your release; docs/umls.md says how to get one."
_PART = re.compile(r"(?P<file>[A-Z]+\.RRF|release\.dat)(?:\.(?P<part>a[a-z]))?(?P<gz>\.gz)?")
# What reading a cut or damaged file, or an archive of a kind that Python cannot read, ends with.
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
_ARCHIVES = (".zip", ".nlm")


class Opened(NamedTuple):
    """A part while it is read: its content, which can be sought forwards, and how many of its ``bytes`` are read."""

    content: IO[bytes] | gzip.GzipFile
    done: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a file: at ``path``, or the ``member`` of the archive there; ``zipped`` by gzip, ``bytes`` as such."""

    path: Path
    member: str | None
    zipped: bool
    bytes: int

    @property
    def name(self) -> str:
        """The name that an error gives: the file's, or the archive's with the member."""
        return self.path.name if self.member is None else f"{self.member} in {self.path.name}"

    @property
    def compressed(self) -> bool:
        """Whether a place in it is reached by reading what lies before it."""
        return self.zipped or self.member is not None

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """The content, decompressed as it is read."""
        with ExitStack() as stack:
            stored: IO[bytes]
            if self.member is None:
                stored = stack.enter_context(self.path.open("rb"))
            else:
                stored = stack.enter_context(stack.enter_context(zipfile.ZipFile(self.path)).open(self.member))
            content: IO[bytes] | gzip.GzipFile = stored
            if self.zipped:
                content = stack.enter_context(gzip.GzipFile(fileobj=stored))
            yield Opened(content, stored.tell)


def find_parts(root: Path) -> Iterator[tuple[str, str, Part]]:
    """All parts at ``root`` with the file that each is of and its mark (``aa``, ``ab``; empty for a whole file).

    Raises:
        KnowledgeError: nothing can be read there, a link leads out of the folder, an archive is damaged, encrypted or
            holds more than ``MAX_MEMBERS`` files.
    """
    try:
        if not root.is_dir():
            yield from _members(root)
            return
        top = root.resolve()
        for folder in (root, root / "META"):
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                archive = path.suffix.lower() in _ARCHIVES
                match = _PART.fullmatch(path.name)
                if not archive and match is None:
                    continue
                if not path.resolve().is_relative_to(top):
                    raise KnowledgeError(
                        f"files inside {root}", f"{path.name} links to a file outside", "Copy the file into the folder."
                    )
                if archive:
                    yield from _members(path)
                elif match is not None and path.is_file():
                    yield (
                        match["file"],
                        match["part"] or "",
                        Part(path, None, match["gz"] is not None, path.stat().st_size),
                    )
    except OSError as error:
        raise KnowledgeError("a UMLS release", f"{error.strerror} at {root}", ADVICE) from error


def _members(path: Path) -> Iterator[tuple[str, str, Part]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise KnowledgeError(
            "a folder or a ZIP archive of a UMLS release", f"another file at {path}", ADVICE
        ) from error
    if len(members) > MAX_MEMBERS:
        raise KnowledgeError(f"an archive of at most {MAX_MEMBERS} files", f"{len(members)} in {path.name}", ADVICE)
    for member in members:
        name = member.filename.rpartition("/")[2]
        match = _PART.fullmatch(name)
        if match is None:
            continue
        if member.flag_bits & 0x1:
            raise KnowledgeError("an archive without a password", f"{name} in {path.name} is encrypted", "Unpack it.")
        yield match["file"], match["part"] or "", Part(path, member.filename, match["gz"] is not None, member.file_size)


def nested_archives(root: Path) -> list[Path]:
    """Names of archives within the archive at ``root``, or within those of the folder there."""
    archives = [root] if root.is_file() else [path for path in root.iterdir() if path.suffix.lower() == ".zip"]
    names: list[Path] = []
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            names += [Path(name) for name in archive.namelist()]
    return names
