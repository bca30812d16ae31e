"""Rows that belong together brought together on disk, for files that scatter them and are too large for memory.

A temporary SQLite database holds the rows; it has no name, lies where SQLite keeps temporary files (``SQLITE_TMPDIR``)
and is gone when the reading ends. Memory holds a page cache of a few megabytes and one group at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from types import TracebackType
from typing import Any, Self

_CACHE_KIB = 8_192
_SCHEMA = """
CREATE TABLE groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE rows (id INTEGER PRIMARY KEY, of INTEGER NOT NULL, content TEXT NOT NULL);
"""


class Gathering:
    """Rows by group, in the order of each group's first row; a row is anything that JSON can hold."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.executescript(_SCHEMA)
        self._base.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()

    def add(self, group: str, row: Any) -> None:
        """Keep a row for its group. Lone surrogates, which a JSON file may hold, are no hindrance."""
        name, content = json.dumps(group), json.dumps(row)
        self._base.execute("INSERT OR IGNORE INTO groups (name) VALUES (?)", (name,))
        self._base.execute("INSERT INTO rows (of, content) SELECT id, ? FROM groups WHERE name = ?", (content, name))

    def __contains__(self, group: str) -> bool:
        return bool(self._base.execute("SELECT 1 FROM groups WHERE name = ?", (json.dumps(group),)).fetchone())

    def __iter__(self) -> Iterator[tuple[str, list[Any]]]:
        """Each group with its rows in the order in which they were added."""
        found = self._base.execute(
            "SELECT groups.name, rows.content FROM rows JOIN groups ON groups.id = rows.of ORDER BY rows.of, rows.id"
        )
        for name, rows in groupby(found, key=lambda pair: pair[0]):
            yield json.loads(name), [json.loads(content) for _, content in rows]
