"""Questions to the UMLS REST API: with the user's key, from the cache where possible, never too fast, tried again.

The key travels in the address (the API knows no other way), and so does the term. Neither is ever written: addresses
are kept out of errors and out of the log of the HTTP library, redirects are not followed, and a plain http address is
refused unless it is this machine.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.umls.rest_cache import AnswerCache

BASE_URL = "https://uts-ws.nlm.nih.gov/rest"
KEY_VARIABLE = "UMLS_API_KEY"
# NLM allows 20 a second and address, and asks that answers be kept for 12 to 24 hours.
REQUESTS_PER_SECOND = 10.0
CURRENT_MAX_AGE = 24 * 3600.0
TRIES = 5
TIMEOUT = 30.0
MAX_ANSWER_BYTES = 8 * 2**20
_LONGEST_WAIT = 60.0
_LOGGERS = ("httpx2", "httpcore2")


class RestClient:
    """Asks the API; ``sleep`` and ``clock`` are replaced in tests.

    Args:
        key: the user's API key.
        cache: where answers are kept.
        base_url: of the API.
        rate: questions a second at most.
        sleep: waits.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        key: str,
        cache: AnswerCache,
        *,
        base_url: str = BASE_URL,
        rate: float = REQUESTS_PER_SECOND,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sends nothing yet. Raises ``KnowledgeError`` for an empty key or an address that would give the key away."""
        if not key.strip():
            raise KnowledgeError("a UMLS API key", "an empty one", f"Put yours into the variable {KEY_VARIABLE}.")
        self.base_url = _checked(base_url)
        self._key, self._cache = key.strip(), cache
        self._pause, self._sleep, self._clock = 1.0 / rate, sleep, clock
        self._next = 0.0
        self._client = httpx2.Client(timeout=TIMEOUT, follow_redirects=False)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def get(self, path: str, query: Mapping[str, str]) -> Any | None:
        """The JSON answer to a question; ``None`` for one about something that UMLS does not have (404).

        Raises:
            KnowledgeError: the key is refused, the API cannot be reached, fails again and again, or answers no JSON.
        """
        kept = self._cache.get(self.base_url, path, query)
        if kept is not None:
            return kept["found"]
        found = self._ask(path, query)
        self._cache.put(self.base_url, path, query, {"found": found})
        return found

    def _ask(self, path: str, query: Mapping[str, str]) -> Any | None:
        problem, wait = "no answer", 0.5
        for attempt in range(TRIES):
            if attempt:
                self._sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            self._keep_pace()
            try:
                status, after, content = self._send(path, query)
            except httpx2.HTTPError as error:
                problem = type(error).__name__
                continue
            if status == 404:
                return None
            if status in (401, 403):
                raise KnowledgeError("a UMLS API key that is accepted", f"HTTP {status}", f"Check {KEY_VARIABLE}.")
            if status == 200:
                return _parsed(content)
            problem = f"HTTP {status}"
            if status != 429 and status < 500:
                break
            if after is not None:
                wait = min(max(wait, after), _LONGEST_WAIT)
        raise KnowledgeError(
            f"an answer of the UMLS REST API within {TRIES} tries",
            problem,
            "Try later; what is answered so far is kept.",
        )

    def _send(self, path: str, query: Mapping[str, str]) -> tuple[int, float | None, bytes]:
        with (
            _unlogged(),
            self._client.stream("GET", f"{self.base_url}/{path}", params={**query, "apiKey": self._key}) as answer,
        ):
            content = b""
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise KnowledgeError(f"an answer of at most {MAX_ANSWER_BYTES} bytes", "more", "Check the address.")
            after = answer.headers.get("Retry-After", "")
            return answer.status_code, float(after) if after.isdigit() else None, content

    def _keep_pace(self) -> None:
        now = self._clock()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + self._pause


def key_from(variable: str = KEY_VARIABLE) -> str:
    """The key in an environment variable. Raises ``KnowledgeError`` where it is not set."""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise KnowledgeError(
            f"your UMLS API key in the environment variable {variable}", "none", "docs/umls.md says how to get one."
        )
    return key


def cache_for(folder: Path, release: str) -> AnswerCache:
    """The cache of a release: for ever where it is named, a day for ``current``, which changes."""
    return AnswerCache(folder, CURRENT_MAX_AGE if release == "current" else None)


def _checked(base_url: str) -> str:
    expected = "an https address of the UMLS REST API, or http on this machine"
    try:
        url = httpx2.URL(base_url)
    except (httpx2.InvalidURL, TypeError):
        raise KnowledgeError(expected, "no address", "Leave the option out for NLM's.") from None
    if url.userinfo or url.query or url.fragment or not url.host:
        raise KnowledgeError(expected, "one with user, query or fragment, or without host", "Leave these out.")
    if url.scheme != "https" and not (url.scheme == "http" and _here(url.host)):
        raise KnowledgeError(expected, f"{url.scheme or 'no scheme'} to another machine", "The key would be readable.")
    return base_url.rstrip("/")


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise KnowledgeError("JSON from the UMLS REST API", "something else", "Check the address.") from None


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keeps the HTTP library from logging addresses, which hold the key and the term."""

    def nothing(record: logging.LogRecord) -> bool:
        return False

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    children = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger) and name.startswith(tuple(f"{parent}." for parent in _LOGGERS))
    ]
    for logger in (*loggers, *children):
        logger.addFilter(nothing)
    try:
        yield
    finally:
        for logger in (*loggers, *children):
            logger.removeFilter(nothing)
