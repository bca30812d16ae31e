"""The file in which an import collects rows: every commit holds rows together with the place after them."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from knowmvg.core.errors import KnowledgeError, OutputError
from knowmvg.knowledge.umls.keep import Labels, Values
from knowmvg.knowledge.umls.layout import Table
from knowmvg.knowledge.umls.rows import Place
from knowmvg.knowledge.umls.schema import DONE, INSERT, STAGING, TABLE_OF

# Sorting at the end uses at most this many KiB at a time and spills to temporary files.
_CACHE_KIB = 131_072


class Staging:
    """An open staging file. A process that is killed loses what came after the last commit, and nothing else."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection
        state = dict(connection.execute("SELECT key, value FROM state"))
        self.plan: Any = json.loads(state.get("plan", "null"))
        self.labels = Labels(json.loads(state.get("labels", "{}")))
        self.left_out: Counter[str] = Counter(json.loads(state.get("left_out", "{}")))
        self.spoken: set[int] = set(json.loads(state.get("spoken", "[]")))
        places = json.loads(state.get("places", "{}"))
        self.places = {file: Place(*place) for file, place in places.items()}
        self.finished: set[str] = set(json.loads(state.get("finished", "[]")))

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Self]:
        """The staging file at ``path``, made if there is none; no other process may use it meanwhile.

        Raises:
            OutputError: the folder cannot be written, the disk is full, or another import uses the file.
            KnowledgeError: the file there is not a staging file.
        """
        connection = None
        try:
            connection = sqlite3.connect(path, isolation_level=None, timeout=1)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("BEGIN EXCLUSIVE")
            if not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
                for statement in STAGING:
                    connection.execute(statement)
            connection.execute("COMMIT")
            yield cls(path, connection)
        except sqlite3.OperationalError as error:
            raise OutputError(
                f"a place to write at {path.parent}", str(error), "Free space there, or end the other import."
            ) from error
        except sqlite3.DatabaseError as error:
            raise KnowledgeError("an unfinished import", f"{error} at {path}", "Use --restart.") from error
        finally:
            if connection is not None:
                connection.close()

    def begin(self) -> None:
        """Opens a transaction; ``commit`` ends it, and closing the file takes it back."""
        self._connection.execute("BEGIN")

    def add(self, table: Table, rows: Sequence[Values], place: Place) -> None:
        """Rows of a table and the place behind them, in the open transaction."""
        self._connection.executemany(INSERT[TABLE_OF[table.file]], rows)
        self.places[table.file] = place

    def commit(self) -> None:
        """Writes the rows added and all counters, together or not at all."""
        state = {
            "plan": self.plan,
            "labels": self.labels,
            "left_out": self.left_out,
            "spoken": sorted(self.spoken),
            "places": {file: [place.bytes, place.rows] for file, place in self.places.items()},
            "finished": sorted(self.finished),
        }
        rows = [(key, json.dumps(value)) for key, value in state.items()]
        self._connection.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", rows)
        self._connection.execute("COMMIT")

    def build(self, path: Path, about: dict[str, Any]) -> Iterator[int]:
        """Writes the finished database to ``path`` in ``len(DONE)`` steps, giving the number done after each."""
        run = self._connection.execute
        run("ATTACH DATABASE ? AS done", (str(path),))
        run("PRAGMA done.journal_mode = OFF")
        run("PRAGMA done.synchronous = OFF")
        run(f"PRAGMA done.cache_size = -{_CACHE_KIB}")
        for step, statement in enumerate(DONE, 1):
            run(statement)
            yield step
        labels = [(number, text) for text, number in self.labels.items()]
        self._connection.executemany("INSERT INTO done.label VALUES (?, ?)", labels)
        counts = {f"{table}s": run(f"SELECT COUNT(*) FROM done.{table}").fetchone()[0] for table in INSERT}
        counts["concepts"] = run("SELECT COUNT(*) FROM (SELECT 1 FROM done.name GROUP BY cui)").fetchone()[0]
        described = {**about, "counts": counts}
        entries = [(key, json.dumps(value, sort_keys=True)) for key, value in sorted(described.items())]
        self._connection.executemany("INSERT INTO done.about VALUES (?, ?)", entries)
        run("DETACH DATABASE done")


def drop(path: Path) -> None:
    """Removes a staging file that is not open, with its journal."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
