"""Streaming the rows of an RRF file, with the place after each block from which reading can be taken up again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.umls.layout import Table
from knowmvg.knowledge.umls.parts import DAMAGED, Part

BLOCK_BYTES = 2**22
MAX_ROW_BYTES = 2**20
MAX_TABLE_BYTES = 2**36  # decompressed; the largest file of a release has some 10 GB
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two rows: ``bytes`` decompressed and ``rows`` read, both over all parts of the file."""

    bytes: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """Rows as lists of fields (the empty one after the last ``|`` left out), and the place behind them.

    ``first`` is the number of the first row, from 1; ``stored`` the bytes read so far as they are stored.
    """

    rows: list[list[str]]
    first: int
    end: Place
    stored: int


def read_blocks(table: Table, parts: Sequence[Part], start: Place) -> Iterator[Block]:
    """The rows of ``parts`` from ``start`` on, 4 MB at a time; Windows line ends and a byte order mark are allowed.

    Raises:
        KnowledgeError: a row has another number of fields, is not UTF-8, holds a NUL or is longer than
            ``MAX_ROW_BYTES``; a compressed file is cut or damaged; the file is shorter than ``start``.
    """
    rest, row, offset = b"", start.rows, start.bytes
    for chunk, stored in _chunks(table, parts, start):
        data = rest + chunk
        whole = data.rfind(b"\n") + 1 if chunk else len(data)
        data, rest = data[:whole], data[whole:]
        if len(rest) > MAX_ROW_BYTES:
            raise fault(table, row + data.count(b"\n") + 1, f"a row of at most {MAX_ROW_BYTES} bytes", "more")
        if not data:
            continue
        rows = _split(table, data, row, at_start=offset == 0)
        offset += len(data)
        row += len(rows)
        yield Block(rows, row - len(rows) + 1, Place(offset, row), stored)


def _split(table: Table, data: bytes, before: int, *, at_start: bool) -> list[list[str]]:
    if at_start and data.startswith(_BOM):
        data = data[len(_BOM) :]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        row = before + data.count(b"\n", 0, error.start) + 1
        raise fault(table, row, "UTF-8, the encoding of every release", f"the byte 0x{data[error.start]:02x}") from None
    if "\0" in text:
        row = before + text.count("\n", 0, text.index("\0")) + 1
        raise fault(table, row, "text without NUL", "a NUL, as in UTF-16 or a damaged file")
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    rows = [line.split("|") for line in lines]
    width = len(table.columns) + 1
    for number, fields in enumerate(rows, before + 1):
        if len(fields) != width or fields[-1]:
            got = f"{len(fields) - 1}" if not fields[-1] else f"{len(fields) - 1} and no | at the end"
            raise fault(table, number, f"{width - 1} fields, each with | behind it", got)
    return rows


def _chunks(table: Table, parts: Sequence[Part], start: Place) -> Iterator[tuple[bytes, int]]:
    """Decompressed chunks from ``start`` on, each with the stored bytes done; an empty one at the end."""
    skip, total, done = start.bytes, 0, 0
    for part in parts:
        try:
            with part.open() as opened:
                # beyond its end a file on disk can be sought, the others cannot
                skipped = min(opened.content.seek(skip), skip if part.compressed else part.bytes) if skip else 0
                skip -= skipped
                total += skipped
                while chunk := opened.content.read(BLOCK_BYTES):
                    total += len(chunk)
                    if total > MAX_TABLE_BYTES:
                        raise KnowledgeError(f"{table.file} of at most {MAX_TABLE_BYTES} bytes", "more", "Check it.")
                    yield chunk, done + opened.done()
        except DAMAGED as error:
            reason = "it ends too early" if isinstance(error, EOFError) else f"it is damaged ({type(error).__name__})"
            raise KnowledgeError(
                f"a complete {part.name}",
                f"{reason}, after {total} bytes of {table.file}",
                "Copy or download it again.",
            ) from error
        done += part.bytes
    if skip:
        raise KnowledgeError(f"{table.file} as it was when the import began", "a shorter file", "Use --restart.")
    yield b"", done


def fault(table: Table, row: int, expected: str, got: str) -> KnowledgeError:
    """The error for a row, counted from 1 over all parts of the file; it tells of the form, never the content."""
    return KnowledgeError(f"{expected} in row {row} of {table.file}", got, "Write the subset again or copy it again.")
