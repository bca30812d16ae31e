"""Folders of any size: parts of studies read ahead, answered in batches, written whole, skipped when they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, tee
from pathlib import Path

import knowmvg
from knowmvg.core.errors import KnowmvgError
from knowmvg.core.records import Grounding
from knowmvg.inference.ahead import ahead
from knowmvg.inference.answering import PhraseSource, Task
from knowmvg.inference.grounded_folder import Failure, GroundedFolder, Job
from knowmvg.inference.session import BATCH, Session
from knowmvg.inference.worklist import Item, WorkList

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """How studies are read: ``workers`` threads, at most ``depth`` studies ahead of the model."""

    workers: int = 2
    depth: int = 3 * BATCH


@dataclass(frozen=True, slots=True)
class Counts:
    """What one run did: studies ``answered``, ``failed`` and ``skipped`` because they were there."""

    answered: int = 0
    failed: int = 0
    skipped: int = 0


def open_results(out: Path, work: WorkList, model: str, phrases: PhraseSource) -> GroundedFolder:
    """The folder of results of a list of work, grounded by the model with the fingerprint ``model``.

    Raises ``OutputError`` for a folder with the results of another job.
    """
    asked = (work.split, phrases, work.studies, work.part, knowmvg.__version__)
    return GroundedFolder(out, Job(model, work.fingerprint(), *asked))


def ground_shard(
    session: Session,
    work: WorkList,
    results: GroundedFolder,
    *,
    shard: int = 0,
    shards: int = 1,
    reading: Reading | None = None,
    retry_failed: bool = False,
    progress: Progress = lambda done, total: None,
) -> Counts:
    """Ground every ``shards``-th part of a folder, the first being ``shard``; parts that are there are skipped.

    Studies are read ahead over the borders of parts. A study that cannot be read or answered becomes a failure of its
    part and stops nothing. The part that a kill finds in work is done again by the next run.
    """
    total = sum(min(work.part, work.studies - n * work.part) for n in range(shard, len(work), shards))
    answered = failed = skipped = 0

    def missing() -> Iterator[tuple[int, list[Item]]]:
        nonlocal skipped
        for number, items in work.parts():
            if number % shards != shard:
                continue
            if results.done(number, len(items), retry_failed=retry_failed):
                skipped += len(items)
                progress(answered + failed + skipped, total)
            else:
                yield number, items

    parts, parts_to_read = tee(missing())
    items_to_read = (item for _, items in parts_to_read for item in items)
    how = reading or Reading()

    def read(item: Item) -> Task:
        return session.ready(item.read())

    with closing(ahead(read, items_to_read, workers=how.workers, depth=how.depth)) as tasks:
        for number, items in parts:
            groundings, failures = answer_part(session, items, islice(tasks, len(items)), results.job.phrases)
            results.write(number, groundings, failures)
            answered, failed = answered + len(groundings), failed + len(failures)
            progress(answered + failed + skipped, total)
    return Counts(answered, failed, skipped)


def answer_part(
    session: Session, items: Sequence[Item], tasks: Iterable[Task | KnowmvgError], phrases: PhraseSource
) -> tuple[list[Grounding], list[Failure]]:
    """The results and failures of the studies of a part; its batches hold no study of another part."""
    groundings, failures = list[Grounding](), list[Failure]()
    for item, answer in zip(items, session.answer_each(tasks, phrases), strict=True):
        if isinstance(answer, KnowmvgError):
            failures.append(Failure.of(item.study, answer))
        else:
            groundings.append(answer)
    return groundings, failures
