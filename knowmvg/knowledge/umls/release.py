"""Where the rows of a release lie: loose files, gzip files, numbered parts, or members of ZIP archives.

Understood are what MetamorphoSys writes (``META/MRCONSO.RRF``), files from the UMLS download page as ZIP, and the full
release unpacked once: archives ``*.nlm`` (ZIP) with ``META/MRCONSO.RRF.aa.gz``, ``.ab.gz`` and so on, which together,
decompressed, are one file cut anywhere. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import gzip
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.umls.layout import MRFILES, TABLES, Table, checked_release

MAX_MEMBERS = 20_000
MAX_SMALL_FILE = 4 * 2**20  # of release.dat and MRFILES.RRF
_PART = re.compile(r"(?P<file>[A-Z]+\.RRF|release\.dat)(?:\.(?P<part>a[a-z]))?(?P<gz>\.gz)?")
_SMALL = (MRFILES.file, "release.dat")
_ADVICE = "Give the META folder of your release; docs/umls.md says how to get one."


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


@dataclass(frozen=True, slots=True)
class Release:
    """The files of a release: the parts of each by file name, and the release's name where it states one."""

    root: Path
    parts: dict[str, tuple[Part, ...]]
    name: str | None

    def small(self, file: str) -> str | None:
        """The text of a small file; ``None`` where the release has none.

        Raises:
            KnowledgeError: it is larger than ``MAX_SMALL_FILE``, damaged or not UTF-8.
        """
        return _small(self.parts.get(file, ()))


def open_release(root: Path, name: str | None = None) -> Release:
    """The release at ``root``: a META folder, the folder around it, one with archives, or an archive.

    Args:
        root: the folder or archive.
        name: the release's name; else it is read from release.dat.

    Raises:
        KnowledgeError: nothing is there, a file of the four that are read is missing or found twice, a link leads out
            of the folder, an archive is damaged or encrypted, or MRFILES.RRF states other columns.
    """
    if name is not None:
        checked_release(name)
    found = list(_parts(root))
    parts: dict[str, tuple[Part, ...]] = {}
    for file in (*(table.file for table in TABLES), *_SMALL):
        pieces = [(match["part"] or "", part) for match, part in found if match["file"] == file]
        if not pieces:
            continue
        if file in _SMALL:  # every archive of a release may hold these
            parts[file] = (pieces[0][1],)
            continue
        marks = sorted(mark for mark, _ in pieces)
        if marks != [""] and marks != [f"a{chr(ord('a') + i)}" for i in range(len(marks))]:
            names = ", ".join(sorted(part.name for _, part in pieces)[:6])
            raise KnowledgeError(
                f"{file} once, or its parts aa, ab, ... complete", names, "Leave one copy of the file."
            )
        parts[file] = tuple(part for _, part in sorted(pieces, key=lambda piece: piece[0]))
    if missing := [table.file for table in TABLES if table.file not in parts]:
        nested = any(part.suffix == ".nlm" for part in _nested(root))
        todo = "Unpack the archive once and give the folder with its .nlm files." if nested else _ADVICE
        raise KnowledgeError(f"{', '.join(table.file for table in TABLES)}", f"no {missing[0]} in {root}", todo)
    release = Release(root, parts, name or _stated_name(_small(parts.get("release.dat", ()))))
    _check_columns(release)
    return release


def stated_rows(release: Release) -> dict[str, int]:
    """The number of rows a file as MRFILES.RRF states it; empty where there is none."""
    text = release.small(MRFILES.file)
    rows = (line.split("|") for line in (text or "").splitlines())
    file, count = MRFILES.at("FIL", "RWS")
    return {row[file]: int(row[count]) for row in rows if len(row) > count and row[count].isdigit()}


def _parts(root: Path) -> Iterator[tuple[re.Match[str], Part]]:
    try:
        if not root.is_dir():
            yield from _members(root)
            return
        top = root.resolve()
        for folder in (root, root / "META"):
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                archive = path.suffix.lower() in (".zip", ".nlm")
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
                    yield match, Part(path, None, match["gz"] is not None, path.stat().st_size)
    except OSError as error:
        raise KnowledgeError("a UMLS release", f"{error.strerror} at {root}", _ADVICE) from error


def _members(path: Path) -> Iterator[tuple[re.Match[str], Part]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise KnowledgeError(
            "a folder or a ZIP archive of a UMLS release", f"another file at {path}", _ADVICE
        ) from error
    if len(members) > MAX_MEMBERS:
        raise KnowledgeError(f"an archive of at most {MAX_MEMBERS} files", f"{len(members)} in {path.name}", _ADVICE)
    for member in members:
        name = member.filename.rpartition("/")[2]
        match = _PART.fullmatch(name)
        if match is None:
            continue
        if member.flag_bits & 0x1:
            raise KnowledgeError("an archive without a password", f"{name} in {path.name} is encrypted", "Unpack it.")
        yield match, Part(path, member.filename, match["gz"] is not None, member.file_size)


def _nested(root: Path) -> list[Path]:
    """Names of archives within the archive at ``root``, or within those of the folder there."""
    archives = [root] if root.is_file() else [path for path in root.iterdir() if path.suffix.lower() == ".zip"]
    names: list[Path] = []
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            names += [Path(name) for name in archive.namelist()]
    return names


def _small(parts: Sequence[Part]) -> str | None:
    if not parts:
        return None
    content = b""
    try:
        for part in parts:
            with part.open() as opened:
                content += opened.content.read(MAX_SMALL_FILE + 1 - len(content))
        if len(content) > MAX_SMALL_FILE:
            raise KnowledgeError(f"{parts[0].name} of at most {MAX_SMALL_FILE} bytes", "more", _ADVICE)
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise KnowledgeError("a readable file in UTF-8", f"a damaged {parts[0].name}", "Copy it again.") from error


def _stated_name(text: str | None) -> str | None:
    """``umls.release.name`` of release.dat (a Java properties file)."""
    for line in (text or "").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "umls.release.name":
            return checked_release(value.strip())
    return None


def _check_columns(release: Release) -> None:
    file, columns = MRFILES.at("FIL", "FMT")
    wanted: dict[str, Table] = {table.file: table for table in TABLES}
    for number, line in enumerate((release.small(MRFILES.file) or "").splitlines(), 1):
        row = line.split("|")
        if len(row) != len(MRFILES.columns) + 1:
            raise KnowledgeError(
                f"{len(MRFILES.columns)} fields in row {number} of MRFILES.RRF", f"{len(row) - 1}", "Copy it again."
            )
        table = wanted.get(row[file])
        if table is not None and tuple(row[columns].split(",")) != table.columns:
            raise KnowledgeError(
                f"the columns {','.join(table.columns)} of {table.file}",
                f"{row[columns][:200]} in row {number} of MRFILES.RRF",
                "Write the subset again in Rich Release Format (RRF).",
            )
