"""Questions with a picture to an endpoint: some at a time, cached, and no more than the user allows."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from knowmvg.core.errors import EndpointError
from knowmvg.sources.texts.endpoint.asking import in_order
from knowmvg.sources.texts.endpoint.cache import AnswerCache
from knowmvg.sources.texts.endpoint.client import ChatClient, Completion, Message, Patience
from knowmvg.sources.texts.endpoint.guard import Endpoint

SETTINGS: Mapping[str, Any] = {"temperature": 0.0, "max_tokens": 512}


class PictureQuestion(NamedTuple):
    """A PNG file's content and what is asked about it."""

    png: bytes
    text: str


class PictureAsker:
    """Asks an endpoint about pictures (``POST /chat/completions`` with parts of type ``image_url``, as data URLs).

    Args:
        client: the connection.
        model: name of the model.
        cache: of answers.
        connections: questions at a time.
        budget: how many questions may be sent in all; answers from the cache are free. ``None`` for no bound.
    """

    def __init__(
        self, client: ChatClient, model: str, cache: AnswerCache, connections: int = 4, budget: int | None = None
    ) -> None:
        self._client, self._model, self._cache = client, model, cache
        self._connections, self._budget, self._lock = connections, budget, Lock()
        self.sent = self.cached = 0

    def __call__(self, questions: Sequence[PictureQuestion]) -> list[Completion]:
        """The answers, in order.

        Raises ``EndpointError`` where the endpoint gives none, or the budget is spent; what it answered before is kept.
        """
        return list(in_order(questions, self._ask, self._connections))

    def _ask(self, question: PictureQuestion) -> Completion:
        messages = _messages(question)
        path = self._cache.path(self._model, messages, SETTINGS, "", 0)
        kept = self._cache.get(path)
        if kept is not None:
            with self._lock:
                self.cached += 1
            return kept
        self._spend()
        completion = self._client.complete(messages, SETTINGS)
        self._cache.put(path, completion)
        return completion

    def _spend(self) -> None:
        with self._lock:
            if self._budget is not None and self.sent >= self._budget:
                todo = "Raise the budget; the same command goes on where this one stopped."
                raise EndpointError(f"at most {self._budget} questions", "one more to be sent", todo)
            self.sent += 1


@contextmanager
def open_picture_asker(
    endpoint: Endpoint, cache: Path, patience: Patience, connections: int, budget: int | None
) -> Iterator[PictureAsker]:
    """An asker with a connection that is closed at the end of the block."""
    with ChatClient(endpoint, patience, connections=connections) as client:
        yield PictureAsker(client, endpoint.model, AnswerCache(cache), connections, budget)


def _messages(question: PictureQuestion) -> list[Message]:
    url = f"data:image/png;base64,{base64.b64encode(question.png).decode('ascii')}"
    picture = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [picture, {"type": "text", "text": question.text}]}]
