"""The unfinished work of a preparation on disk, and how it is taken up again.

Rows and faults are appended to files in a hidden folder beside the final one, under names that say that they are
partial. Every few hundred rows their lengths and digests are noted, whole or not at all; a later run with the same
settings cuts the files back to the last note, makes sure that they are what was noted, and goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict, ValidationError

from knowmvg.sources.datasets.reader import Fault
from knowmvg.sources.manifest import StudyRow

NOTE, ROWS, FAULTS = "progress.json", "rows.partial.jsonl", "faults.partial.jsonl"
_CHUNK = 1 << 20


class _Note(BaseModel):
    """How far the work had come: rows and faults taken from the reader, and the state of the two files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, Any]
    taken: int
    last: str | None
    lengths: dict[str, int]
    digests: dict[str, str]


class Journal:
    """The partial files of one preparation; a context that closes them."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """Take up what ``folder`` holds if it was made with the same settings and is whole, else start anew."""
        self.folder, self._settings = folder, json.loads(json.dumps(settings))
        note = self._usable_note()
        if note is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self.taken = note.taken if note else 0
        self.last = note.last if note else None
        self._digests = {name: hashlib.sha256() for name in (ROWS, FAULTS)}
        self._files: dict[str, BinaryIO] = {}
        for name, digest in self._digests.items():
            if note:
                with (folder / name).open("rb") as stream:
                    while chunk := stream.read(_CHUNK):
                        digest.update(chunk)
            self._files[name] = (folder / name).open("ab")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._files.values():
            stream.close()

    def row(self, row: StudyRow) -> None:
        """Append a row."""
        self._append(ROWS, row.model_dump_json(by_alias=True, exclude_none=True))

    def fault(self, fault: Fault) -> None:
        """Append a fault."""
        self._append(FAULTS, json.dumps(asdict(fault), ensure_ascii=False))

    def note(self, taken: int, last: str | None) -> None:
        """Make sure that all is on disk, and note it; ``last`` is the identifier of the last row of the reader."""
        for stream in self._files.values():
            stream.flush()
            os.fsync(stream.fileno())
        self.taken, self.last = taken, last
        note = _Note(
            settings=self._settings,
            taken=taken,
            last=last,
            lengths={name: stream.tell() for name, stream in self._files.items()},
            digests={name: digest.hexdigest() for name, digest in self._digests.items()},
        )
        part = self.folder / f"{NOTE}.part"
        part.write_text(note.model_dump_json(), encoding="utf-8")
        part.replace(self.folder / NOTE)

    def rows(self) -> Iterator[StudyRow]:
        """The rows that are noted, from the start."""
        for line in self._lines(ROWS):
            yield StudyRow.model_validate_json(line)

    def faults(self) -> Iterator[Fault]:
        """The faults that are noted, from the start."""
        for line in self._lines(FAULTS):
            yield Fault(**json.loads(line))

    def _append(self, name: str, line: str) -> None:
        data = line.encode() + b"\n"
        self._digests[name].update(data)
        self._files[name].write(data)

    def _lines(self, name: str) -> Iterator[bytes]:
        self._files[name].flush()
        with (self.folder / name).open("rb") as stream:
            yield from stream

    def _usable_note(self) -> _Note | None:
        """The note of a run with the same settings, its files cut back to it; ``None`` if anything is amiss."""
        try:
            note = _Note.model_validate_json((self.folder / NOTE).read_bytes())
            if note.settings != self._settings or note.lengths.keys() != {ROWS, FAULTS}:
                return None
            for name, length in note.lengths.items():
                path = self.folder / name
                if path.stat().st_size < length:
                    return None
                os.truncate(path, length)
                with path.open("rb") as stream:
                    if hashlib.file_digest(stream, "sha256").hexdigest() != note.digests.get(name):
                        return None
        except (OSError, ValidationError):
            return None
        return note
