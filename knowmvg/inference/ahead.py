"""Work done ahead of its use: threads read and decode the next studies while the model answers the last ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from knowmvg.core.errors import KnowmvgError

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    work: Callable[[T], R], items: Iterable[T], *, workers: int, depth: int
) -> Generator[R | KnowmvgError, None, None]:
    """``work`` of each item, in order, at most ``depth`` items ahead of what was taken.

    An expected error of an item takes its place and stops nothing; any other error ends the iteration where it stands.
    When the iterator is closed, what has not begun is dropped and what has begun is waited for: no thread is left.

    Args:
        work: called in a thread; decoders and numpy let the threads run at once.
        items: taken by the caller's own thread.
        workers: threads; with 0 all is done in the caller's thread, when it is asked for.
        depth: results that may wait, the bound on memory.
    """
    if workers < 1:
        for item in items:
            yield _done(work, item)
        return
    given = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="knowmvg-read") as pool:
        waiting: deque[Future[R | KnowmvgError]] = deque()
        try:
            while True:
                waiting.extend(pool.submit(_done, work, item) for item in islice(given, depth - len(waiting)))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _done(work: Callable[[T], R], item: T) -> R | KnowmvgError:
    try:
        return work(item)
    except KnowmvgError as error:
        return error
