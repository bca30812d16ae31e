"""A grounder loaded once and used for many studies: an image and its report in, a grounding out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import knowmvg
from knowmvg.core.errors import ModelError, ReportError
from knowmvg.core.grounder import Grounder, MapGrounder
from knowmvg.core.records import Grounding, Radiograph, Study
from knowmvg.inference.answering import NAMED_BY, PhraseSource, Task
from knowmvg.inference.chat_models import load_model
from knowmvg.sources.image import read_radiograph
from knowmvg.sources.report import read_report, read_report_file

DEMO_MODEL = Path(knowmvg.__file__).parent / "models" / "demo"
BATCH = 8
NO_PHRASE = "No diagnostic phrase was found in the report."


def load(model: str | Path | None = None) -> Session:
    """A session with a grounder; without a name, the demonstration model that is shipped.

    Args:
        model: a model folder, or a chat model's hub id or folder (docs/coordinates.md).

    Raises:
        ModelError: a folder that is missing, incomplete or of another version, or an id that cannot be read.
    """
    return Session(load_model(DEMO_MODEL if model is None else model))


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
    ) -> Iterator[Grounding]:
        """Ground many ``(image, report)`` pairs in batches: one result a pair, in order. See ``ground``."""
        if phrases not in NAMED_BY:
            raise ValueError(f"expected phrases from {', '.join(NAMED_BY)}; got {phrases!r}")
        grounder = with_maps(self.grounder) if maps else self.grounder
        pairs = iter(studies)
        names = iter(study_ids) if study_ids is not None else None
        while chunk := list(islice(pairs, BATCH)):
            given = [None] * len(chunk) if names is None else list(islice(names, len(chunk)))
            tasks = [_task(image, report, name) for (image, report), name in zip(chunk, given, strict=True)]
            answers = NAMED_BY[phrases](grounder, tasks)
            for task, answer, name in zip(tasks, answers, given, strict=True):
                yield _finished(task, answer, name)


def with_maps(grounder: Grounder) -> Grounder:
    """The grounder with maps in its evidence. Raises ``ModelError`` for one that has none."""
    if not isinstance(grounder, MapGrounder) or not grounder.maps:
        raise ModelError("a model that gives maps", "one without", "Leave maps out, or take another model.")
    return grounder.with_maps()


def _task(image: str | Path | Radiograph, report: str | Path, study_id: str | None) -> Task:
    radiograph = image if isinstance(image, Radiograph) else read_radiograph(Path(image))
    text = read_report_text(report)
    return Task(Study(radiograph, text, study_id or "study"), read_report(text))


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


def _finished(task: Task, answer: Grounding, study_id: str | None) -> Grounding:
    """The answer with every warning once and with the version that made it."""
    nothing = () if answer.phrases else (NO_PHRASE,)
    warnings = dict.fromkeys((*task.study.image.warnings, *answer.warnings, *nothing))
    versions = {"knowmvg": knowmvg.__version__, **answer.versions}
    return answer.model_copy(update={"warnings": tuple(warnings), "versions": versions, "study": study_id})
