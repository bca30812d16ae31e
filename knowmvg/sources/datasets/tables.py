"""Published tables (CSV, gzip or not) row by row, each row with its line for messages."""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from math import isfinite
from pathlib import Path
from typing import IO, BinaryIO, cast

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.reader import Fault

MAX_LINE = 1 << 20  # characters
_CHUNK = 1 << 20
_MAGIC = b"\x1f\x8b"
_RESTORE = "Restore the published file, or correct it."


class UnusableError(Exception):
    """A row that cannot be used; ``TableRow.fault`` makes a ``Fault`` of it. ``detail`` holds no text of a report."""

    def __init__(self, kind: str, detail: str) -> None:
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind}: {detail}")


@dataclass(frozen=True, slots=True)
class TableRow:
    """The fields of a row by column, stripped; ``line`` counts from 1 with the header."""

    file: str
    line: int
    values: Mapping[str, str]

    def text(self, column: str) -> str:
        """A field that must not be empty. Raises ``UnusableError``."""
        value = self.values[column]
        if not value:
            raise UnusableError("empty field", f"nothing in column {column!r}")
        return value

    def number(self, column: str) -> float:
        """A finite number. Raises ``UnusableError`` for anything else; the field itself is never repeated."""
        return finite(self.values[column], f"column {column!r}")

    @property
    def source(self) -> str:
        """File and line, as ``StudyRow.source`` wants them."""
        return f"{self.file}:{self.line}"

    def fault(self, reason: UnusableError) -> Fault:
        """The row as left out, with what was wrong with it."""
        return Fault(reason.kind, self.file, self.line, reason.detail, kept=False)

    def mended(self, kind: str, detail: str) -> Fault:
        """The row as kept after something was put right."""
        return Fault(kind, self.file, self.line, detail, kept=True)


def finite(value: object, place: str) -> float:
    """A number or its text as a finite float; ``place`` is for the message. Raises ``UnusableError``."""
    if value is None or value == "":
        raise UnusableError("empty field", f"nothing in {place}")
    try:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)) or "_" in str(value):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        raise UnusableError("wrong type", f"no number in {place}") from None
    if not isfinite(number):
        raise UnusableError("not finite", f"NaN or infinity in {place}")
    return number


def find_table(folder: Path, name: str) -> Path | None:
    """``folder/name`` or the same with ``.gz``, whichever is there (without ``.gz`` first)."""
    stem = name.removesuffix(".gz")
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()), None)


def read_table(
    path: Path, columns: Iterable[str], *, optional: Iterable[str] = (), delimiter: str = ","
) -> Iterator[TableRow | Fault]:
    """The rows of a table with a header, one at a time; blank lines are left out.

    UTF-8 with or without mark, UTF-16 with mark, or else Latin-1; any line ends; gzip by content, whatever the name.
    Columns are found by name in any order, without regard to case and blanks around it. Columns without a name that
    hold nothing are passed over; others that are neither in ``columns`` nor ``optional`` are a kept ``Fault``. A row
    with too few fields, or with text beyond the header, is a ``Fault`` that is left out.

    Raises:
        ManifestError: no such file, none that can be read as a table, or a header without a column or with one twice.
    """
    wanted, further = list(columns), list(optional)
    with _text(path) as stream:
        yield from _rows(path, stream, wanted, further, delimiter)


def _rows(
    path: Path, stream: IO[str], wanted: list[str], further: list[str], delimiter: str
) -> Iterator[TableRow | Fault]:
    reader = csv.reader(_lines(path, stream), delimiter=delimiter, strict=True)
    header = _next(path, reader, 1) or []
    places = _places(path, header, [*wanted, *further], wanted)
    strange = [name for i, name in enumerate(header) if name.strip() and i not in places.values()]
    if strange:
        yield Fault("further column", path.name, 1, f"{len(strange)} columns that are not read", kept=True)
    width, needed = len(header), max(places.values()) + 1
    while True:
        line = reader.line_num + 1
        fields = _next(path, reader, line)
        if fields is None:
            return
        if not any(field.strip() for field in fields):
            continue
        if len(fields) < needed or any(field.strip() for field in fields[width:]):
            yield Fault("wrong number of fields", path.name, line, f"{len(fields)} of {width}", kept=False)
            continue
        yield TableRow(path.name, line, {name: fields[place].strip() for name, place in places.items()})


def _lines(path: Path, stream: IO[str]) -> Iterator[str]:
    """The lines of a file, so that one without line ends does not fill the memory."""
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE and not line.endswith(("\n", "\r")):
            raise ManifestError("a table", f"more than {MAX_LINE:,} characters in line {number} of {path}", _RESTORE)
        yield line


def _next(path: Path, reader: Iterator[list[str]], line: int) -> list[str] | None:
    """The next row; a field may hold 131,072 characters (``csv.field_size_limit``), more is a broken quotation mark."""
    try:
        return next(reader, None)
    except csv.Error as error:
        got = f"a broken row in line {line} of {path} (quotation marks or length)"
        raise ManifestError("a table", got, _RESTORE) from error
    except (OSError, EOFError, zlib.error) as error:
        got = f"{path} cannot be read from line {line} on ({type(error).__name__})"
        raise ManifestError("an intact table", got, "Copy or download the file again.") from error


def _places(path: Path, header: list[str], known: list[str], wanted: list[str]) -> dict[str, int]:
    """The place of each known column that the header has."""
    names = [_plain(name) for name in header]
    places = {column: names.index(_plain(column)) for column in known if _plain(column) in names}
    missing = [column for column in wanted if column not in places]
    if missing:
        got = f"{path} (line 1) without {', '.join(map(repr, missing))} among its {len(header)} columns"
        raise ManifestError(f"columns {', '.join(map(repr, wanted))}", got, _RESTORE)
    twice = [column for column in places if names.count(_plain(column)) > 1]
    if twice:
        got = f"{', '.join(map(repr, twice))} more than once in line 1 of {path}"
        raise ManifestError("each column once", got, _RESTORE)
    return places


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    """The decoded file, with line ends as they are."""
    try:
        encoding = _encoding(path)
        with _bytes(path) as stream, TextIOWrapper(stream, encoding=encoding, newline="") as text:
            yield text
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        got = f"none at {path}" if isinstance(error, FileNotFoundError) else f"{type(error).__name__} at {path}"
        raise ManifestError("a table that can be read", got, "Check the path, or download the file again.") from error


def _bytes(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        packed = stream.read(2) == _MAGIC
    return cast(BinaryIO, gzip.open(path, "rb")) if packed else path.open("rb")


def _encoding(path: Path) -> str:
    """Decided over the whole file, so that a late Latin-1 letter does not end a long reading."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _bytes(path) as stream:
        chunk = stream.read(_CHUNK)
        if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = stream.read(_CHUNK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


def read_columns(path: Path, columns: Iterable[str], *, optional: Iterable[str] = ()) -> Iterator[TableRow | Fault]:
    """As ``read_table`` for a table of which only some columns are wanted: the others are passed over."""
    for row in read_table(path, columns, optional=optional):
        if not (isinstance(row, Fault) and row.kind == "further column"):
            yield row
