"""A grounder loaded once and used for many studies: an image and its report in, a grounding out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import TypeAlias, TypeVar

import knowmvg
from knowmvg.core.errors import KnowmvgError, ModelError, ReportError
from knowmvg.core.grounder import DrawingGrounder, Grounder, MapGrounder
from knowmvg.core.records import Grounding, Radiograph, Study
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.inference.ahead import ahead
from knowmvg.inference.answering import NAMED_BY, PhraseSource, Task
from knowmvg.inference.chat_models import load_model
from knowmvg.sources.image import read_radiograph
from knowmvg.sources.report import read_report, read_report_file

BATCH = 8
Answer: TypeAlias = Grounding | KnowmvgError
NamedBy: TypeAlias = Callable[[Grounder, Sequence[Task]], list[Grounding]]
R = TypeVar("R")
NO_PHRASE = "No diagnostic phrase was found in the report."


def load(model: str | Path | None = None, *, revision: str | None = None, device: str | None = None) -> Session:
    """A session with the grounder of a model; without one, the demonstration model that is shipped.

    Args:
        model: the folder of a run or model, the name of another shipped one (``grounders.shipped``), a chat model's
            folder (docs/coordinates.md), or a hub id of a model (``owner/name``, ``owner/name@revision``) that is
            fetched once and then kept.
        revision: branch, tag or commit of a hub id.
        device: where the model runs, in the words of torch; without one, on a GPU where torch sees one.

    Raises:
        ModelError: a model that cannot be fetched, a folder that is missing, incomplete or of another version, or a
            device that is not there.
    """
    return Session(load_model(DEMO_MODEL if model is None else model, revision, device))


class Session:
    """Grounds studies with one grounder; safe to use again and again, it keeps nothing of a study."""

    def __init__(self, grounder: Grounder) -> None:
        self.grounder = grounder

    def ground(
        self,
        image: str | Path | Radiograph,
        report: str | Path,
        phrases: PhraseSource = "both",
        study_id: str | None = None,
        *,
        maps: bool = False,
    ) -> Grounding:
        """Name and place the diagnostic phrases of one study.

        Args:
            image: path of a DICOM, PNG or JPEG file, or a radiograph in memory.
            report: the report's text as ``str``, or the ``Path`` of a text file.
            phrases: who names the phrases, ``model``, ``parser`` or ``both`` reconciled.
            study_id: an identifier that is carried into the result and not looked at.
            maps: whether the evidence of each phrase with boxes holds its maps (``Evidence.maps``, one of each kind
                that the model has; ``on_image()`` gives one as an array over the stored image).

        Returns:
            Phrases in report order; boxes are ``(x1, y1, x2, y2)`` in pixels of the stored image. Absent, resolved and
            prior phrases are listed with a reason and without box.

        Raises:
            ImageError: the image cannot be read as one radiograph.
            ReportError: the report is empty or cannot be read as text.
            ModelError: maps of a model that has none.
            ValueError: ``phrases`` is none of the three.
        """
        return next(self.ground_many([(image, report)], phrases, [study_id], maps=maps))

    def ground_many(
        self,
        studies: Iterable[tuple[str | Path | Radiograph, str | Path]],
        phrases: PhraseSource = "both",
        study_ids: Iterable[str | None] | None = None,
        *,
        maps: bool = False,
        readers: int = 0,
    ) -> Iterator[Grounding]:
        """Ground many ``(image, report)`` pairs in batches: one result a pair, in order. See ``ground``.

        With ``readers`` so many threads read the next studies while the model answers; the results are the same. For
        a folder whose unreadable studies must not stop the others: inference/many.py.
        """
        grounder = self._checked(phrases, maps)
        names: Iterable[str | None] = repeat(None) if study_ids is None else study_ids
        entries = ((image, report, name) for (image, report), name in zip(studies, names, strict=study_ids is not None))
        tasks = ahead(lambda entry: self.ready(_task(*entry)), entries, workers=readers, depth=3 * BATCH)
        with closing(tasks):
            for answer in _answers(grounder, tasks, NAMED_BY[phrases]):
                yield _raised(answer)

    def answer_each(self, tasks: Iterable[Task | KnowmvgError], phrases: PhraseSource = "both") -> Iterator[Answer]:
        """Ground studies that are read, in batches: one result a study, in order; an error keeps its place.

        A study that the model cannot answer gives its error and spoils no other of its batch.

        Raises ``ValueError`` for another source of ``phrases``.
        """
        return _answers(self._checked(phrases, maps=False), tasks, NAMED_BY[phrases])

    def ready(self, task: Task) -> Task:
        """The task with its image as the model takes it: made where it is read, not where the model is waited for."""
        if not isinstance(self.grounder, DrawingGrounder):
            return task
        return replace(task, study=self.grounder.drawn(task.study))

    def _checked(self, phrases: PhraseSource, maps: bool) -> Grounder:
        if phrases not in NAMED_BY:
            raise ValueError(f"expected phrases from {', '.join(NAMED_BY)}; got {phrases!r}")
        return with_maps(self.grounder) if maps else self.grounder


def _answers(grounder: Grounder, tasks: Iterable[Task | KnowmvgError], named_by: NamedBy) -> Iterator[Answer]:
    given = iter(tasks)
    while chunk := _chunk(given):
        read = [task for task in chunk if isinstance(task, Task)]
        answers = iter(_batch(grounder, read, named_by))
        for task in chunk:
            yield next(answers) if isinstance(task, Task) else task


def _chunk(tasks: Iterator[Task | KnowmvgError]) -> list[Task | KnowmvgError]:
    """The next entries up to ``BATCH`` studies."""
    chunk: list[Task | KnowmvgError] = []
    read = 0
    while read < BATCH and (task := next(tasks, None)) is not None:
        chunk.append(task)
        read += isinstance(task, Task)
    return chunk


def _batch(grounder: Grounder, tasks: Sequence[Task], named_by: NamedBy) -> list[Answer]:
    if not tasks:
        return []
    try:
        return [_finished(task, answer) for task, answer in zip(tasks, named_by(grounder, tasks), strict=True)]
    except KnowmvgError as error:  # of one of them: find which
        if len(tasks) == 1:
            return [error]
        return [answer for task in tasks for answer in _batch(grounder, [task], named_by)]


def _raised(value: R | KnowmvgError) -> R:
    if isinstance(value, KnowmvgError):
        raise value
    return value


def with_maps(grounder: Grounder) -> Grounder:
    """The grounder with maps in its evidence. Raises ``ModelError`` for one that has none."""
    if not isinstance(grounder, MapGrounder) or not grounder.maps:
        raise ModelError("a model that gives maps", "one without", "Leave maps out, or take another model.")
    return grounder.with_maps()


def _task(image: str | Path | Radiograph, report: str | Path, study_id: str | None) -> Task:
    radiograph = image if isinstance(image, Radiograph) else read_radiograph(Path(image))
    text = read_report_text(report)
    return Task(Study(radiograph, text, study_id or "study"), read_report(text), study_id)


def read_report_text(report: str | Path) -> str:
    """The text of a report given as text, or as the ``Path`` of a file.

    Raises:
        ReportError: a file that is missing or no text, a ``str`` that names a file, or a report of nothing but space.
    """
    if isinstance(report, Path):
        text, where = read_report_file(report), str(report)
    elif _names_a_file(report):
        raise ReportError("the report's text, or a Path", "a str that names a file", "Wrap it: Path(...).")
    else:
        text, where = report, "the text given"
    if not text.strip():
        raise ReportError("a report with text", f"nothing in {where}", "Give the report that belongs to the image.")
    return text


def _names_a_file(text: str) -> bool:
    try:
        return bool(text.strip()) and Path(text).is_file()
    except (OSError, ValueError):  # too long or too odd to be a path
        return False


def _finished(task: Task, answer: Grounding) -> Grounding:
    """The answer with every warning once and with the version that made it."""
    nothing = () if answer.phrases else (NO_PHRASE,)
    warnings = dict.fromkeys((*task.study.image.warnings, *answer.warnings, *nothing))
    versions = {"knowmvg": knowmvg.__version__, **answer.versions}
    return answer.model_copy(update={"warnings": tuple(warnings), "versions": versions, "study": task.name})
