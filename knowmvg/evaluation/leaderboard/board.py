"""All rows and their file, which grows: a newer row takes the place of its older self, and all others stay.

Rows of two protocols, of two data sets, or of the whole split and of a part of it never share a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from knowmvg.core.errors import ManifestError
from knowmvg.core.records import DISCLAIMER
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.leaderboard.entry import Entry, Record
from knowmvg.evaluation.leaderboard.page import board_page, entry_table
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.tables import Table

SCHEMA: Literal["knowmvg.leaderboard/1"] = "knowmvg.leaderboard/1"
LIMIT = 32 * 2**20


class Leaderboard(Record):
    """Entries by data set and protocol, the best mIoU first."""

    schema_: Literal["knowmvg.leaderboard/1"] = Field(default=SCHEMA, alias="schema")
    notice: str = DISCLAIMER
    entries: tuple[Entry, ...] = ()

    @model_validator(mode="after")
    def _single(self) -> Self:
        if len({entry.key for entry in self.entries}) < len(self.entries):
            raise ValueError("expected each row once for its recipe, protocol, split, studies and data")
        return self

    def joined(self, entries: Iterable[Entry]) -> Leaderboard:
        """With new entries, which take the place of older ones of the same key."""
        by_key = {entry.key: entry for entry in (*self.entries, *entries)}
        order = list(Protocol)
        ranked = sorted(by_key.values(), key=lambda e: (*_place(e), order.index(e.protocol), -e.miou.value, e.row))
        return Leaderboard(entries=tuple(ranked))

    def tables(self) -> list[Table]:
        """One table a data set, split, part of the split and protocol."""
        return [entry_table(list(rows)) for _, rows in groupby(self.entries, key=lambda e: (*_place(e), e.protocol))]

    def to_json(self) -> str:
        """Strict, indented JSON."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"

    def to_markdown(self, command: str) -> str:
        """All tables, what they hold and the command that fills them."""
        return board_page(self.tables(), self.entries, command)


def read_leaderboard(path: Path) -> Leaderboard:
    """The leaderboard at ``path``; an empty one where there is none.

    Raises:
        ManifestError: the file is no leaderboard of this schema.
    """
    if not path.exists():
        return Leaderboard()
    try:
        with path.open("rb") as stream:
            return Leaderboard.model_validate_json(stream.read(LIMIT))
    except (OSError, ValidationError) as error:
        todo = "Restore the file, or name another --out folder."
        raise ManifestError(f"a leaderboard of schema {SCHEMA}", f"another content in {path}", todo) from error


def write_leaderboard(folder: Path, board: Leaderboard, command: str) -> list[Path]:
    """Write ``leaderboard.json`` and ``leaderboard.md``, each whole or not at all."""
    data, page = folder / "leaderboard.json", folder / "leaderboard.md"
    write_text(data, board.to_json())
    write_text(page, board.to_markdown(command))
    return [data, page]


def _place(entry: Entry) -> tuple[str, str, str, int]:
    return entry.data, entry.data_fingerprint, entry.split, entry.drawn or 0
