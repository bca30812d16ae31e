"""Answers on disk by the hash of what was asked: an interrupted run goes on, and a second one asks nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from knowmvg.sources.texts.endpoint.client import Completion, Message
from knowmvg.sources.whole_files import write_lines

CACHE_SCHEMA = "knowmvg.answers/1"


class AnswerCache:
    """One small file an answer, in folders of 256. Questions are kept as hashes alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(
        self, model: str, messages: Sequence[Message], settings: Mapping[str, Any], subject: str, attempt: int
    ) -> Path:
        """Where the answer to a question lies.

        ``subject`` is what is asked about: two studies with the same labels are two questions, and get two texts.
        ``attempt`` tells a question from the same asked again.
        """
        asked = [CACHE_SCHEMA, model, [dict(message) for message in messages], dict(settings), subject, attempt]
        name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.json"

    def get(self, path: Path) -> Completion | None:
        """The kept answer; a damaged file counts for nothing."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] != CACHE_SCHEMA:
                return None
            text, finish = content["text"], content["finish"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Completion(text, finish) if isinstance(text, str) and isinstance(finish, str) else None

    def put(self, path: Path, completion: Completion) -> None:
        """Keep an answer, whole or not at all."""
        content = {"schema": CACHE_SCHEMA, "text": completion.text, "finish": completion.finish}
        write_lines(path, [json.dumps(content)])
