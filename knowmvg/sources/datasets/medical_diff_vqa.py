"""Medical-Diff-VQA 1.0.0 joined to the boxes of MS-CXR: MRG-MIMIC-VQA, questions and answers in place of a report.

Hu et al., KDD 2023; PhysioNet ``medical-diff-vqa`` (credentialed): 700,703 questions. Layout, from public loaders::

    mimic_pair_questions.csv   study_id, subject_id, ref_id, question_type, question, answer, split
    mimic_all.csv              subject_id, study_id, 14 labels, dicom_id, view, split, study_date, study_order

``question_type`` is abnormality, location, level, view, type, presence or difference; ``split`` is train, val or test.
``mimic_all.csv`` names the one image of each study that the questions are about. An image of MS-CXR takes part if it is
that image of its study; the boxes of another image of the study would be those of another picture.

Questions of type ``difference`` (about a second image) and ``view`` (about no finding) are not taken. A question that
stands there again for another reference study counts once. KnowMVG's own "VQA" rows (uMedGround's pickles, 158 texts
by a language model) were not published in a form that can be rebuilt; these rows are made anew from the user's copies,
and numbers on them are not comparable with the published ones.

Not verified on the original files: whether ``ref_id`` is empty for questions about one image, and whether identifiers
bear a trailing ``.0``; both are read.

Memory: MS-CXR (1,047 images) is held; the large tables are streams, and the questions on its images are gathered in a
temporary database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.gathering import Gathering
from knowmvg.sources.datasets.mimic_cxr import study_id
from knowmvg.sources.datasets.ms_cxr import MsCxr, open_ms_cxr
from knowmvg.sources.datasets.official_split import official_split
from knowmvg.sources.datasets.phrase_rows import mentioned_findings, with_report
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.settings import choice
from knowmvg.sources.datasets.tables import TableRow, UnusableError, find_table, read_columns
from knowmvg.sources.manifest import StudyRow, UnmentionedRow

QUESTIONS = ("study_id", "question_type", "question", "answer", "split")
IMAGES = ("study_id", "dicom_id")
TYPES = ("abnormality", "location", "level", "view", "type", "presence", "difference")
_UNUSED = ("view", "difference")
_OWN = ("rows", "split_of")
FORM = "Question: {question} Answer: {answer}"


def open_medical_diff_vqa(places: Places, options: Mapping[str, str]) -> MedicalDiffVqa:
    """The reader of Medical-Diff-VQA in ``--root``, MS-CXR in ``--annotations``, MIMIC-CXR-JPG in ``--images``.

    Options: ``rows`` (``image``, the default: all questions on an image in one text, with all its phrases;
    ``question``: a row for each question that names a finding with boxes), ``split_of`` (``boxes``, the default: the
    split of MS-CXR; ``questions``), and those of ``ms-cxr``.

    Raises:
        ManifestError: files are missing or are not those of the releases.
        RecipeError: an option with a value that it does not have.
    """
    rows = choice(options, "rows", ("image", "question"))
    split = choice(options, "split_of", ("boxes", "questions"))
    tables = []
    for name, columns in (("mimic_pair_questions.csv", QUESTIONS), ("mimic_all.csv", IMAGES)):
        table = find_table(places.root, name)
        if table is None:
            todo = "Give the folder of Medical-Diff-VQA as --root."
            raise ManifestError(f"{name} of Medical-Diff-VQA", f"none in {places.root}", todo)
        next(read_columns(table, columns), None)  # checks the header
        tables.append(table)
    inherited = {name: value for name, value in options.items() if name not in _OWN}
    boxes = open_ms_cxr(_places_of_boxes(places), inherited, option="--annotations")
    return MedicalDiffVqa(boxes, tables[0], tables[1], rows == "question", split == "questions")


def _places_of_boxes(places: Places) -> Places:
    """MS-CXR lies in ``annotations``, a folder or a file of it, or else beside the questions."""
    given = places.annotations
    if given is None or given.is_dir():
        return Places(given or places.root, places.images)
    return Places(places.root, places.images, annotations=given)


@dataclass(frozen=True, slots=True)
class MedicalDiffVqa:
    """Rows of questions and answers; see the module and ``open_medical_diff_vqa``."""

    boxes: MsCxr
    questions: Path
    images: Path
    by_question: bool = False
    own_split: bool = False

    @property
    def facts(self) -> DatasetFacts:
        """Name, versions and licence of both sets."""
        found = self.boxes.facts
        return DatasetFacts(
            "MRG-MIMIC-VQA of Medical-Diff-VQA",
            f"1.0.0 with MS-CXR {found.version}",
            found.licence,
            True,
            "https://physionet.org/content/medical-diff-vqa/",
            (f"A text is {'one question' if self.by_question else 'all questions on an image'} with answer.",),
        )

    @property
    def image_root(self) -> Path:
        """The folder of MIMIC-CXR-JPG."""
        return self.boxes.image_root

    @property
    def files(self) -> tuple[Path, ...]:
        """The tables of questions and of images, and the annotation file of MS-CXR."""
        return (self.questions, self.images, *self.boxes.files)

    def read(self) -> Iterator[StudyRow | Fault]:
        """The images in the order of their first question; images without one are counted at the end."""
        studies = dict[str, StudyRow]()
        for row in self.boxes.read():
            if isinstance(row, Fault):
                yield row
            else:
                studies[row.id] = row
        of_study = dict[str, str]()
        yield from self._pictured(studies, of_study)
        with Gathering() as asked:
            yield from self._gather(of_study, asked)
            for image, questions in asked:
                yield from self._rows(studies.pop(image), questions)
        for row in studies.values():
            file, _, line = str(row.source).rpartition(":")
            yield Fault("no questions", file, int(line), "no question is about this image; left out", kept=True)

    def _pictured(self, studies: Mapping[str, StudyRow], of_study: dict[str, str]) -> Iterator[Fault]:
        """The image with boxes that the questions on each study are about."""
        for row in read_columns(self.images, IMAGES):
            if isinstance(row, Fault):
                yield row
                continue
            try:
                dicom = row.text("dicom_id").casefold()
                if dicom in studies:
                    of_study[_study(row)] = dicom
            except UnusableError as reason:
                yield row.fault(reason)

    def _gather(self, of_study: Mapping[str, str], asked: Gathering) -> Iterator[Fault]:
        for row in read_columns(self.questions, QUESTIONS):
            if isinstance(row, Fault):
                yield row
                continue
            try:
                image, kind = of_study.get(_study(row)), row.text("question_type").casefold()
                if kind not in TYPES:
                    raise UnusableError("unknown question type", f"none of {', '.join(TYPES)}")
                if image is None or kind in _UNUSED:
                    continue
                text = {"question": row.text("question"), "answer": row.text("answer")}
                asked.add(image, {**text, "split": official_split(row.text("split")), "source": row.source})
            except UnusableError as reason:
                yield row.fault(reason)

    def _rows(self, study: StudyRow, questions: list[dict[str, Any]]) -> Iterator[StudyRow | Fault]:
        once = {(asked["question"], asked["answer"]): asked for asked in reversed(questions)}
        asked = list(reversed(once.values()))
        file, _, line = str(asked[0]["source"]).rpartition(":")
        splits = {one["split"] for one in questions}
        if self.own_split and len(splits) > 1:
            yield Fault("contradiction", file, int(line), "questions on the image in different splits", kept=False)
            return
        update = {"split": splits.pop()} if self.own_split else {}
        if not self.by_question:
            text = "\n".join(FORM.format(**one) for one in asked)
            report, phrases = with_report(text, study.phrases)
            update |= {"report": report, "phrases": phrases, "source": asked[0]["source"]}
            yield study.model_copy(update=update)
            return
        for number, one in enumerate(asked):
            row = _one_question(study, one, f"{study.id}#q{number}")
            if row is not None:
                yield row.model_copy(update=update)


def _one_question(study: StudyRow, asked: Mapping[str, Any], name: str) -> StudyRow | None:
    """The row of a question, with the boxes of the findings that it or its answer names; ``None`` without any."""
    named = mentioned_findings(asked["question"], asked["answer"])
    about = [phrase for phrase in study.phrases if phrase.finding in named]
    if not about:
        return None
    report, phrases = with_report(FORM.format(**asked), about)
    rest = [phrase for phrase in study.phrases if phrase.finding not in named and phrase.finding is not None]
    unmentioned = tuple(
        UnmentionedRow(finding=str(phrase.finding), side=phrase.side, zone=phrase.zone, boxes=phrase.boxes)
        for phrase in rest
    )
    update = {"id": name, "report": report, "phrases": phrases, "unmentioned": unmentioned, "source": asked["source"]}
    return study.model_copy(update=update)


def _study(row: TableRow) -> str:
    return study_id(row.text("study_id").removesuffix(".0"))
