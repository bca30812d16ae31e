"""Entities of a data set, read study by study in constant memory, on one process or several (equation 2).

A study gives its labelled phrases, the phrases of its report, or both; a phrase of the report that a labelled one
covers is left out, so that a statement counts once. Only counts of entities are kept, whose number the atlas bounds.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from multiprocessing import get_context

from knowmvg.core.errors import KnowledgeError, ReportError
from knowmvg.core.records import Phrase
from knowmvg.knowledge.entities import Entity, EntityExtractor, extract_entities, joined
from knowmvg.knowledge.ontology import Atlas
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.report import read_report

BATCH = 250  # studies handed to a process at once
_AHEAD = 2  # batches a process that are read in advance


class Texts(StrEnum):
    """Which texts of a study are read: its labelled phrases, its report, or both."""

    PHRASES = "phrases"
    REPORT = "report"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Harvest:
    """What was found: entities by text, numbers of studies and of placed phrases, findings that the atlas lacks.

    ``unknown`` counts canonical names only (``Phrase.finding``); phrases without one that name no finding of the atlas
    are counted under ``""``, because their words are report text.
    """

    entities: dict[str, Entity]
    studies: int
    phrases: int
    unknown: Counter[str]


Progress = Callable[[int], None]
Study = tuple[str, str, tuple[Phrase, ...]]  # id, report, labelled phrases


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the entities of batches of studies; it travels to the processes, so ``extract`` must be picklable there."""

    atlas: Atlas
    texts: Texts = Texts.BOTH
    extract: EntityExtractor = extract_entities

    def read(self, studies: Sequence[Study]) -> Harvest:
        """The entities of a batch. Raises ``ReportError`` with the study's id for a report that cannot be read."""
        phrases = [phrase for study in studies for phrase in self._phrases(study) if phrase.assertion.placed]
        vocabulary = self.atlas.vocabulary
        unknown = Counter(phrase.finding or "" for phrase in phrases if not vocabulary.read(phrase))
        return Harvest(self.extract(phrases, self.atlas), len(studies), len(phrases), unknown)

    def _phrases(self, study: Study) -> Iterator[Phrase]:
        name, report, labelled = study
        if self.texts is not Texts.REPORT:
            yield from labelled
        if self.texts is Texts.PHRASES:
            return
        try:
            read = read_report(report).phrases
        except ReportError as error:
            raise ReportError(error.expected, f"{error.got} in study {name}", error.todo) from error
        others = labelled if self.texts is Texts.BOTH else ()
        yield from (phrase for phrase in read if not any(_covers(other, phrase) for other in others))


def harvest(
    rows: Iterable[StudyRow], reader: Reader, *, workers: int = 1, progress: Progress = lambda done: None
) -> Harvest:
    """The entities of all rows; give the training split only. The order of rows and the workers do not matter.

    Args:
        rows: studies, read one after the other.
        reader: what is read of them, and with which atlas.
        workers: processes; 1 reads in this one.
        progress: told the number of studies read.

    Raises:
        ReportError: a report that cannot be read, with its study.
        KnowledgeError: a process that died.
    """
    entities: dict[str, Entity] = {}
    unknown: Counter[str] = Counter()
    studies = phrases = 0
    batches = _batches((row.id, row.report, tuple(phrase.phrase() for phrase in row.phrases)) for row in rows)
    for part in map(reader.read, batches) if workers == 1 else _in_processes(batches, reader, workers):
        entities = joined((entities, part.entities))
        unknown.update(part.unknown)
        studies, phrases = studies + part.studies, phrases + part.phrases
        progress(studies)
    return Harvest(entities, studies, phrases, unknown)


def _covers(labelled: Phrase, read: Phrase) -> bool:
    """Whether a phrase of the report says what a labelled one says already: words inside its span, or the same."""
    if labelled.span is not None and read.span is not None:
        return labelled.span[0] < read.span[1] and read.span[0] < labelled.span[1]
    return labelled.text.casefold() == read.text.casefold()


def _batches(studies: Iterator[Study]) -> Iterator[list[Study]]:
    while batch := list(islice(studies, BATCH)):
        yield batch


_reader: Reader  # of a worker process


def _prepare(reader: Reader) -> None:
    global _reader
    _reader = reader


def _read(studies: Sequence[Study]) -> Harvest:
    return _reader.read(studies)


def _in_processes(batches: Iterator[list[Study]], reader: Reader, workers: int) -> Iterator[Harvest]:
    """The parts in order; never more than a few batches a process are in memory."""
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_prepare, initargs=(reader,))
    waiting: deque[Future[Harvest]] = deque()
    try:
        for batch in batches:
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
            waiting.append(pool.submit(_read, batch))
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise KnowledgeError("worker processes that live", "one that died", "Use fewer --workers.") from error
    finally:
        pool.shutdown(cancel_futures=True)
