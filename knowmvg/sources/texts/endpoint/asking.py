"""Many questions to an endpoint: a bounded number at a time, answers in order, each checked and kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.texts.endpoint.answers import Unusable, description, labelled_answer, plain_answer
from knowmvg.sources.texts.endpoint.cache import AnswerCache
from knowmvg.sources.texts.endpoint.client import ChatClient, Completion, Message, Patience
from knowmvg.sources.texts.endpoint.guard import Endpoint
from knowmvg.sources.texts.endpoint.prompts import ask_category, ask_report, prompts
from knowmvg.sources.texts.labels import Positions, has_words, label_report, merged_labels, told_labels
from knowmvg.sources.texts.rows import with_report

T = TypeVar("T")
_I = TypeVar("_I")
_O = TypeVar("_O")
_AHEAD = 4
"""Questions a connection that are under way or wait for an earlier one."""


@dataclass(frozen=True, slots=True)
class _Task(Generic[T]):
    subject: str
    messages: Sequence[Message]
    take: Callable[[Completion], T]


@dataclass(slots=True)
class Asked:
    """Counts of a run: questions, answers from the cache, and answers that could not be used, by kind."""

    questions: int = 0
    cached: int = 0
    unusable: Counter[str] = field(default_factory=Counter)


@contextmanager
def open_asker(endpoint: Endpoint, cache: Path, patience: Patience, connections: int) -> Iterator[Asker]:
    """An asker with a connection that is closed at the end of the block."""
    with ChatClient(endpoint, patience, connections=connections) as client:
        yield Asker(client, endpoint.model, AnswerCache(cache), connections)


class Asker:
    """Asks ``model`` through ``client``, at most ``connections`` questions at a time."""

    def __init__(self, client: ChatClient, model: str, cache: AnswerCache, connections: int = 4) -> None:
        self.asked, self._lock = Asked(), Lock()
        self._client, self._model, self._cache, self._connections = client, model, cache, connections

    def reports(self, rows: Iterable[StudyRow], positions: Positions) -> Iterator[StudyRow]:
        """The rows, in order, with reports where they had none.

        Rows with a report are passed through and never sent. A row whose answers could not be used is left out and
        counted; one without labels gets the template's sentence.

        Args:
            rows: of a manifest.
            positions: whether the reports may say places.

        Raises:
            EndpointError: the endpoint does not answer; what it answered before is kept.
        """
        for made in in_order(rows, lambda row: self._report(row, positions), self._connections):
            if made is not None:
                yield made

    def descriptions(self, categories: Iterable[str]) -> dict[str, str]:
        """A description of each category; those without a usable answer are missing. Raises as ``reports`` does."""
        names = sorted(set(categories))
        made = in_order(
            names,
            lambda name: self._ask(_Task(name, ask_category(name), lambda c: description(c, name))),
            self._connections,
        )
        return {name: text for name, text in zip(names, made, strict=True) if text is not None}

    def _report(self, row: StudyRow, positions: Positions) -> StudyRow | None:
        if has_words(row):
            return row
        told, places = told_labels(row, positions)
        labels = merged_labels(told, places=places)
        if not labels:
            return label_report(row, places=places)

        def take(completion: Completion) -> StudyRow:
            text = plain_answer(completion)
            return with_report(told, text, labelled_answer(text, labels, places=places))

        return self._ask(_Task(row.id, ask_report(labels, places=places), take))

    def _ask(self, task: _Task[T]) -> T | None:
        """The first usable answer, or ``None`` after the last."""
        settings = prompts().fields()
        fault, cached = "", 0
        for attempt in range(1 + prompts().again):
            path = self._cache.path(self._model, task.messages, settings, task.subject, attempt)
            completion = self._cache.get(path)
            if completion is not None:
                cached += 1
            else:
                completion = self._client.complete(task.messages, settings)
                self._cache.put(path, completion)
            try:
                taken = task.take(completion)
            except Unusable as unusable:
                fault = str(unusable)
            else:
                self._count(cached)
                return taken
        self._count(cached, fault)
        return None

    def _count(self, cached: int, fault: str | None = None) -> None:
        with self._lock:
            self.asked.questions += 1
            self.asked.cached += cached
            if fault is not None:
                self.asked.unusable[fault] += 1


def in_order(items: Iterable[_I], work: Callable[[_I], _O], connections: int) -> Iterator[_O]:
    """``map`` over threads with a bounded number of items ahead; the first error stops what has not begun."""
    waiting: deque[Future[_O]] = deque()
    pool = ThreadPoolExecutor(connections, thread_name_prefix="endpoint")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _AHEAD * connections:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
