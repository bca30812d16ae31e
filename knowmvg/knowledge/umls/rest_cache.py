"""Answers of the REST API on disk: one JSON file an answer, named by a hash of the question without the key."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from knowmvg.core.errors import OutputError


class AnswerCache:
    """Answers under ``folder``, which only its owner may enter (they are licensed content).

    Args:
        folder: made if it is not there.
        max_age: in seconds; older answers count as none. ``None`` for ever.
    """

    def __init__(self, folder: Path, max_age: float | None) -> None:
        """Makes the folder. Raises ``OutputError`` where it cannot be made."""
        self.folder, self.max_age = folder, max_age
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputError("a folder for the answers", f"{error.strerror} at {folder}", "Choose another.") from error

    def get(self, base: str, path: str, query: Mapping[str, str]) -> Any | None:
        """The answer kept for a question; ``None`` for none, an old one or a damaged one."""
        try:
            entry = json.loads(self._file(base, path, query).read_text(encoding="utf-8"))
            too_old = self.max_age is not None and not 0 <= time.time() - entry["time"] <= self.max_age
            return None if too_old else entry["answer"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, base: str, path: str, query: Mapping[str, str], answer: Any) -> None:
        """Keeps an answer. Raises ``OutputError`` where the disk does not take it."""
        file = self._file(base, path, query)
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        try:
            draft.write_text(json.dumps({"time": time.time(), "answer": answer}), encoding="utf-8")
            draft.replace(file)
        except OSError as error:
            raise OutputError(
                "a folder for the answers", f"{error.strerror} at {self.folder}", "Free space."
            ) from error
        finally:
            draft.unlink(missing_ok=True)

    def _file(self, base: str, path: str, query: Mapping[str, str]) -> Path:
        question = json.dumps([base, path, sorted(query.items())])
        return self.folder / f"{hashlib.sha256(question.encode()).hexdigest()}.json"
