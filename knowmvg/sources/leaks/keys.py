"""What two rows may have in common, as 8-byte hashes: a check keeps these and no text, path or name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from knowmvg.core.errors import ManifestError
from knowmvg.core.records import normalised
from knowmvg.knowledge.patterns import split_words
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.prepared import image_path
from knowmvg.sources.report import read_report

MIN_SENTENCE_WORDS = 4
_ENDS = 64 * 2**10


def digest(data: bytes) -> int:
    """The first 8 bytes of SHA-256: among a million keys two agree by chance once in 37 million checks."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8])


def image_file(folder: Path, row: StudyRow) -> Path:
    """The file of a row's image, wherever a prepared folder keeps it."""
    return image_path(folder, row.image)


def path_key(folder: Path, row: StudyRow) -> int:
    """The image's place on disk, symbolic links followed, so that two folders can name one file."""
    return digest(os.path.realpath(image_file(folder, row)).encode(errors="surrogatepass"))


def ends_key(path: Path) -> int:
    """Size, first and last 64 KiB of an image file: the whole of a small one, and enough to tell large ones apart.

    Raises ``ManifestError`` for a file that cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(_ENDS)
            if size > 2 * _ENDS:
                stream.seek(-_ENDS, os.SEEK_END)
            return digest(b"%d\n" % size + head + stream.read(_ENDS))
    except OSError as error:
        raise _unreadable(path, error) from error


def whole_key(path: Path) -> int:
    """All bytes of an image file. Raises ``ManifestError`` for one that cannot be read."""
    try:
        with path.open("rb") as stream:
            return int.from_bytes(hashlib.file_digest(stream, "sha256").digest()[:8])
    except OSError as error:
        raise _unreadable(path, error) from error


def text_key(report: str) -> int | None:
    """The report without regard to case and white space; ``None`` for one without words."""
    words = normalised(report)
    return digest(words.encode(errors="surrogatepass")) if words else None


def sentence_keys(report: str) -> Iterator[int]:
    """The report's sentences of four words or more, as sets of words, singular, with all numbers alike.

    Other word order, other punctuation and other sizes make no other sentence.
    """
    for sentence in read_report(report).sentences:
        words = {
            "#" if word.raw[0].isdigit() else word.lemma
            for word in split_words(report, sentence.start, sentence.end)
            if not word.is_mark
        }
        if len(words) >= MIN_SENTENCE_WORDS:
            yield digest(" ".join(sorted(words)).encode(errors="surrogatepass"))


def _unreadable(path: Path, error: OSError) -> ManifestError:
    reason = error.strerror or type(error).__name__
    return ManifestError("an image that the manifest names", f"{reason} at {path}", "Restore it, or correct the row.")
