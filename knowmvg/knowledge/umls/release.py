"""A release as a whole: the parts of its files, its name, and what it states of its own columns and rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.umls.layout import MRFILES, TABLES, checked_release
from knowmvg.knowledge.umls.parts import ADVICE, DAMAGED, Part, find_parts, nested_archives

MAX_SMALL_FILE = 4 * 2**20  # of release.dat and MRFILES.RRF
_SMALL = (MRFILES.file, "release.dat")


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
    found = list(find_parts(root))
    parts: dict[str, tuple[Part, ...]] = {}
    for file in (*(table.file for table in TABLES), *_SMALL):
        pieces = [(mark, part) for of, mark, part in found if of == file]
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
        nested = any(part.suffix == ".nlm" for part in nested_archives(root))
        todo = "Unpack the archive once and give the folder with its .nlm files." if nested else ADVICE
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


def _small(parts: Sequence[Part]) -> str | None:
    if not parts:
        return None
    content = b""
    try:
        for part in parts:
            with part.open() as opened:
                # a cut gzip file ends in an error only where its end is read
                while chunk := opened.content.read(MAX_SMALL_FILE + 1 - len(content)):
                    content += chunk
        if len(content) > MAX_SMALL_FILE:
            raise KnowledgeError(f"{parts[0].name} of at most {MAX_SMALL_FILE} bytes", "more", ADVICE)
        return content.decode("utf-8-sig")
    except (*DAMAGED, UnicodeDecodeError) as error:
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
    wanted = {table.file: table for table in TABLES}
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
