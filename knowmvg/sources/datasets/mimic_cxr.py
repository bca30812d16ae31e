"""Where the user's copies of MIMIC-CXR-JPG and MIMIC-CXR hold an image, a report, its view and its official split.

Layout (PhysioNet pages of MIMIC-CXR-JPG 2.0.0 and 2.1.0 and of MIMIC-CXR 2.0.0 and 2.1.0; the files themselves are
credentialed and were not seen)::

    MIMIC-CXR-JPG/files/p10/p10000032/s50414267/<dicom_id>.jpg
    MIMIC-CXR-JPG/mimic-cxr-2.0.0-metadata.csv.gz
        dicom_id, subject_id, study_id, PerformedProcedureStepDescription, ViewPosition, Rows, Columns, StudyDate, ...
    MIMIC-CXR-JPG/mimic-cxr-2.0.0-split.csv.gz
        dicom_id, study_id, subject_id, split (train, validate, test)
    MIMIC-CXR/files/p10/p10000032/s50414267.txt
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from knowmvg.core.errors import ManifestError, ReportError
from knowmvg.sources.datasets.official_split import official_split
from knowmvg.sources.datasets.reader import Fault, Places
from knowmvg.sources.datasets.tables import TableRow, UnusableError, find_table, read_table
from knowmvg.sources.prepared import path_within
from knowmvg.sources.report.files import read_report_file

LICENCE = "PhysioNet Credentialed Health Data License 1.5.0"
METADATA = ("mimic-cxr-2.0.0-metadata.csv", "mimic-cxr-2.1.0-metadata.csv")
SPLIT = ("mimic-cxr-2.0.0-split.csv", "mimic-cxr-2.1.0-split.csv")

_KEYS = ("dicom_id", "subject_id", "study_id")
_VIEW, _ROWS, _COLUMNS = "ViewPosition", "Rows", "Columns"
_UNREAD = (
    "PerformedProcedureStepDescription",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
T = TypeVar("T")
_NUMBER = re.compile(r"[0-9]{8}", re.ASCII)
_DICOM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class MimicImage:
    """An image by its identifiers: ``p10000032``, ``s50414267`` and the DICOM identifier."""

    patient: str
    study: str
    dicom: str

    @property
    def path(self) -> str:
        """The JPG file, relative to the folder of MIMIC-CXR-JPG."""
        return f"files/{self.patient[:3]}/{self.patient}/{self.study}/{self.dicom}.jpg"


@dataclass(frozen=True, slots=True)
class MimicEntry:
    """A line of the metadata: the image, its view (``PA``, ``AP``, ``LATERAL``, ... or empty), its size in pixels."""

    image: MimicImage
    view: str
    width: int
    height: int


def mimic_image(patient: str, study: str, dicom: str) -> MimicImage:
    """The image of identifiers as tables write them, with or without ``p`` and ``s``.

    Raises ``UnusableError`` unless they have the published form, so that they can be parts of a path.
    """
    plain = dicom.strip().casefold()
    if not _DICOM.fullmatch(plain):
        raise UnusableError("wrong identifier", "expected a dicom_id of five groups of eight hexadecimal digits")
    return MimicImage(patient_id(patient), study_id(study), plain)


def patient_id(value: str) -> str:
    """``p`` and eight digits. Raises ``UnusableError`` for anything else."""
    return _numbered("p", value, "subject_id")


def study_id(value: str) -> str:
    """``s`` and eight digits. Raises ``UnusableError`` for anything else."""
    return _numbered("s", value, "study_id")


def _numbered(letter: str, value: str, name: str) -> str:
    digits = value.strip().casefold().removeprefix(letter)
    if not _NUMBER.fullmatch(digits):
        raise UnusableError("wrong identifier", f"expected a {name} of eight digits")
    return letter + digits


@dataclass(frozen=True, slots=True)
class MimicCopy:
    """The folders that hold ``files/``: ``images`` of MIMIC-CXR-JPG and, where given, ``reports`` of MIMIC-CXR."""

    images: Path
    reports: Path | None = None

    @classmethod
    def at(cls, places: Places) -> MimicCopy:
        """The copies of ``--images`` (or ``--root``) and ``--reports``.

        Raises ``ManifestError`` where a folder has no ``files``.
        """
        images = _holder(places.images or places.root, "--images", "MIMIC-CXR-JPG")
        reports = None if places.reports is None else _holder(places.reports, "--reports", "MIMIC-CXR reports")
        return cls(images, reports)

    def report(self, patient: str, study: str) -> str:
        """The text of a study's report.

        Raises ``UnusableError`` for one that is missing, leads out of the folder, or cannot be read as text.
        """
        if self.reports is None:
            raise ValueError("expected a folder of reports, got none")
        path = path_within(self.reports, f"files/{patient[:3]}/{patient}/{study}.txt")
        if path is None:
            raise UnusableError("link out of the folder", "the report lies outside the folder of reports")
        if not path.is_file():
            raise UnusableError("missing report", f"no {path.relative_to(self.reports)} in the folder of reports")
        try:
            return read_report_file(path)
        except ReportError as error:
            raise UnusableError("unreadable report", f"expected {error.expected}") from error

    def table(self, names: Collection[str]) -> Path | None:
        """A table of MIMIC-CXR-JPG by its names, gzip or not, or ``None``."""
        return next((path for name in names if (path := find_table(self.images, name))), None)

    def metadata(self) -> Iterator[MimicEntry | Fault]:
        """The lines of the metadata. Raises ``ManifestError`` where the table is missing or has other columns."""
        path = self._needed(METADATA)
        yield from _parsed(read_table(path, [*_KEYS, _VIEW, _ROWS, _COLUMNS], optional=_UNREAD), _entry)

    def splits(self) -> Iterator[tuple[MimicImage, str] | Fault]:
        """The official split of each image: ``train``, ``val`` or ``test``. Raises as ``metadata``."""
        path = self._needed(SPLIT)
        yield from _parsed(
            read_table(path, [*_KEYS, "split"]), lambda row: (_image(row), official_split(row.text("split")))
        )

    def views(self, dicoms: Collection[str]) -> dict[str, str]:
        """The view of each of some images, as far as the metadata are there and name it."""
        if self.table(METADATA) is None:
            return {}
        entries = (entry for entry in self.metadata() if isinstance(entry, MimicEntry))
        return {entry.image.dicom: entry.view for entry in entries if entry.image.dicom in dicoms and entry.view}

    def official(self, dicoms: Collection[str]) -> dict[str, str]:
        """The official split of each of some images. Raises as ``metadata``."""
        pairs = (pair for pair in self.splits() if not isinstance(pair, Fault))
        return {image.dicom: split for image, split in pairs if image.dicom in dicoms}

    def _needed(self, names: tuple[str, ...]) -> Path:
        path = self.table(names)
        if path is None:
            got = f"none in {self.images}"
            raise ManifestError(f"{names[0]} or the same with .gz", got, "Download it from MIMIC-CXR-JPG.")
        return path


def _holder(folder: Path, option: str, name: str) -> Path:
    """The folder that holds ``files``, given itself or by its ``files``."""
    for holder in (folder, folder.parent if folder.name == "files" else folder):
        if (holder / "files").is_dir():
            return holder
    got = f"no folder 'files' in {folder}"
    raise ManifestError(f"a copy of {name} with its folder 'files'", got, f"Name it with {option}.")


def _parsed(rows: Iterator[TableRow | Fault], parse: Callable[[TableRow], T]) -> Iterator[T | Fault]:
    for row in rows:
        if isinstance(row, Fault):
            yield row
            continue
        try:
            yield parse(row)
        except UnusableError as reason:
            yield row.fault(reason)


def _image(row: TableRow) -> MimicImage:
    return mimic_image(row.text("subject_id"), row.text("study_id"), row.text("dicom_id"))


def _entry(row: TableRow) -> MimicEntry:
    width, height = row.number(_COLUMNS), row.number(_ROWS)
    return MimicEntry(_image(row), row.values[_VIEW].upper(), int(width), int(height))
