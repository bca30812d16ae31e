"""One chat completion from an OpenAI-compatible endpoint, whatever the network does.

The request and answer are those of POST /chat/completions (platform.openai.com/docs/api-reference/chat), of which only
``model``, ``messages``, ``temperature``, ``max_tokens`` and ``choices[0].message.content`` are used, so that vLLM,
llama.cpp, Ollama and others serve as well.
"""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from knowmvg.core.errors import EndpointError
from knowmvg.sources.texts.endpoint.guard import Endpoint

MAX_BODY_BYTES = 2 * 2**20
MAX_WAIT = 60.0
"""Longest pause between two tries, in seconds, also where the server asks for more."""
_TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_REFUSED = {
    401: ("a key that the endpoint takes", "Check the environment variable with the key."),
    403: ("a key that may use the model", "Check the environment variable with the key."),
    404: (
        "a model and a base URL that the endpoint knows",
        "Check --endpoint, as http://localhost:8000/v1, and --model.",
    ),
}

Message = Mapping[str, Any]
"""``role`` and ``content``: a text, or a list of parts of which some are pictures."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back: ``text`` is empty where there was no choice; ``finish`` is the server's reason to stop."""

    text: str
    finish: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try: ``timeout`` seconds a try, ``tries`` in all, ``pause`` seconds after the first, then doubled."""

    timeout: float = 120.0
    tries: int = 6
    pause: float = 1.0


class _AgainError(Exception):
    """A try that failed in a way that may pass; ``after`` is how long the server asks to wait."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class ChatClient:
    """Asks one endpoint; may be used from several threads. It follows no redirect, and no proxy to a private host."""

    def __init__(
        self,
        endpoint: Endpoint,
        patience: Patience = Patience(),
        *,
        connections: int = 8,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint, self._patience, self._sleep = endpoint, patience, sleep
        self._random = random.Random(0)  # of the pauses alone
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        self._http = httpx2.Client(
            headers=headers,
            timeout=patience.timeout,
            # without TLS no certificate is needed: a context that trusts nobody, which is made at once
            verify=endpoint.url.startswith("https") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            limits=httpx2.Limits(max_connections=connections),
            follow_redirects=False,
            trust_env=not endpoint.private,
        )

    def __enter__(self) -> ChatClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def complete(self, messages: Sequence[Message], settings: Mapping[str, Any]) -> Completion:
        """The answer to ``messages``; ``settings`` are further fields of the request.

        Raises:
            EndpointError: the endpoint refuses, is another model, or gave no answer in all tries. Never quotes either.
        """
        body = {"model": self._endpoint.model, "messages": [dict(message) for message in messages], **settings}
        reason, pause = "", 0.0
        for attempt in range(self._patience.tries):
            if attempt:
                self._sleep(pause)
            try:
                return self._once(body)
            except _AgainError as failure:
                reason = str(failure)
                pause = self._pause(attempt, failure.after)
        got = f"{reason} at {self._endpoint.url}, {self._patience.tries} times"
        raise EndpointError("an answer of the endpoint", got, "The same command goes on where this one stopped.")

    def _pause(self, attempt: int, asked: float | None) -> float:
        own = self._patience.pause * 2**attempt * (0.5 + self._random.random())
        return float(min(max(own, asked or 0.0), MAX_WAIT))

    def _once(self, body: Mapping[str, Any]) -> Completion:
        try:
            with self._http.stream("POST", f"{self._endpoint.url}/chat/completions", json=body) as response:
                self._check_status(response)
                return self._read(self._body(response))
        except httpx2.TimeoutException as error:
            raise _AgainError("no answer in time") from error
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _AgainError(f"a broken connection ({type(error).__name__})") from error

    def _check_status(self, response: httpx2.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status in _TRY_AGAIN:
            raise _AgainError(f"status {status}", _retry_after(response.headers.get("retry-after")))
        expected, todo = _REFUSED.get(status, ("an endpoint that takes the request", "See what its log says."))
        raise EndpointError(expected, f"status {status} from {self._endpoint.url}", todo)

    def _body(self, response: httpx2.Response) -> bytes:
        """The whole body; a server that trickles it, or sends too much, does not hold the work up."""
        deadline = time.monotonic() + self._patience.timeout
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise _AgainError(f"more than {MAX_BODY_BYTES // 2**20} MiB")
            if time.monotonic() > deadline:
                raise _AgainError("no answer in time")
        return b"".join(parts)

    def _read(self, body: bytes) -> Completion:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _AgainError("an answer that is no JSON") from error
        if not isinstance(content, dict):
            raise _AgainError("an answer that is no JSON object")
        model = content.get("model")
        if isinstance(model, str) and not same_model(self._endpoint.model, model):
            todo = "Name the model that the endpoint serves, or the endpoint that serves the model."
            raise EndpointError(f"answers of {self._endpoint.model}", f"some of {model[:80]!r}", todo)
        return _first_choice(content.get("choices"))


def same_model(asked: str, answered: str) -> bool:
    """Whether an endpoint's name for the model means the one that was asked: a path to it, or its dated release."""
    one, other = (name.casefold().rstrip("/").rpartition("/")[2].removesuffix(":latest") for name in (asked, answered))
    return one == other or other.startswith((f"{one}-", f"{one}:", f"{one}@", f"{one}.gguf"))


def _first_choice(choices: Any) -> Completion:
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Completion("", "no choice")
    message = choices[0].get("message")
    text = message.get("content") if isinstance(message, dict) else None
    return Completion(text if isinstance(text, str) else "", str(choices[0].get("finish_reason") or "stop"))


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from a number or a date; ``None`` for a header that is neither."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
