"""A report file to text, whatever wrote it."""

from __future__ import annotations

from pathlib import Path

from knowmvg.core.errors import ReportError

MAX_BYTES = 1_000_000
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_report_file(path: Path | str) -> str:
    r"""The text of a report file in UTF-8 (with or without mark), UTF-16 with mark, or Latin-1.

    Line ends become ``\n``. Raises ``ReportError`` for a file that is missing, unreadable, larger than 1 MB or binary.
    """
    path = Path(path)
    if not _is_file(path):
        raise _no_file(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ReportError("a readable report file", f"{error.strerror} at {path}", "Check its permissions.") from error
    if len(data) > MAX_BYTES:
        raise ReportError(f"a report of at most {MAX_BYTES} bytes", f"more in {path}", "Give one report a file.")
    return decode_report(data, str(path))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a NUL: no path at all
        return False


def _no_file(path: Path) -> ReportError:
    """What is where a report file should be; text that was given in place of a path is not repeated."""
    expected = "a report text file"
    if len(path.name.split()) > 2 and not path.suffix[1:].isalnum():
        todo = "Write the report into a file, and give its path."
        return ReportError(expected, "several words that name no file", todo)
    if path.is_dir():
        return ReportError(expected, f"a folder at {path}", "Give the text file itself.")
    return ReportError(expected, f"none at {path}", "Check the path.")


def decode_report(data: bytes, name: str = "the report") -> str:
    r"""Bytes to text with ``\n`` line ends; ``name`` is used in errors only.

    Raises ``ReportError`` for bytes that are no text: NUL or other control characters after decoding.
    """
    text = _decode(data, name).replace("\r\n", "\n").replace("\r", "\n")
    controls = sum(ord(char) < 32 and char not in "\n\t\f\v" for char in text)
    if "\0" in text or controls > 0.01 * len(text):
        raise ReportError("a report as plain text", f"binary data in {name}", "Export the report as a text file.")
    return text


def _decode(data: bytes, name: str) -> str:
    if data.startswith(_UTF16_MARKS):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ReportError("UTF-16 text", f"broken UTF-16 in {name}", "Save the report as UTF-8.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
