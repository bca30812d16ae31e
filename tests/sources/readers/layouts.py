"""Small data sets in the published layouts, made by the tests: no identifier, text or picture is anyone's."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from knowmvg.sources.datasets.reader import DatasetReader, Fault
from knowmvg.sources.manifest import StudyRow


def picture(path: Path, size: tuple[int, int] = (64, 48), *, bits: int = 8) -> Path:
    """A ramp of ``size`` (width, height) as PNG (8 or 16 bits) or JPEG, by the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 2**bits - 1, size[0] * size[1]).reshape(size[1], size[0])
    Image.fromarray(ramp.astype(np.uint8 if bits == 8 else np.uint16)).save(path)
    return path


def table_bytes(rows: Iterable[Sequence[Any]], *, newline: str = "\n", encoding: str = "utf-8") -> bytes:
    """A CSV file; the first row is the header."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator=newline).writerows(rows)
    return stream.getvalue().encode(encoding)


# How else a table may lie on a user's disk: all are read alike.
DISGUISES: dict[str, Callable[[bytes], bytes]] = {
    "Windows line ends": lambda data: data.replace(b"\n", b"\r\n"),
    "old Mac line ends": lambda data: data.replace(b"\n", b"\r"),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "gzip": gzip.compress,
    "gzip with Windows line ends": lambda data: gzip.compress(data.replace(b"\n", b"\r\n")),
    "blank lines at the end": lambda data: data + b"\n\n",
    "empty trailing columns": lambda data: b"".join(line + b",,,\n" for line in data.splitlines()),
    "blanks around the fields of the header": lambda data: (
        b" , ".join(data.split(b"\n")[0].split(b",")) + data[data.index(b"\n") :]
    ),
}


def write_sums(folder: Path, names: Iterable[str], *, wrong: Iterable[str] = ()) -> Path:
    """``SHA256SUMS.txt`` over files of a folder, with another digest for those in ``wrong``."""
    spoilt = set(wrong)
    lines = []
    for name in names:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        lines.append(f"{digest[::-1] if name in spoilt else digest} {name}\n")
    sums = folder / "SHA256SUMS.txt"
    sums.write_text("".join(lines), encoding="utf-8")
    return sums


def dicom_name(number: int) -> str:
    """A DICOM identifier in the form of MIMIC-CXR."""
    digits = hashlib.sha256(f"test {number}".encode()).hexdigest()
    return "-".join(digits[start : start + 8] for start in range(0, 40, 8))


class MimicFolders:
    """MIMIC-CXR-JPG and MIMIC-CXR under one folder: ``jpg`` and ``reports``."""

    def __init__(self, root: Path) -> None:
        self.jpg, self.reports = root / "mimic-cxr-jpg", root / "mimic-cxr"
        (self.jpg / "files").mkdir(parents=True)
        (self.reports / "files").mkdir(parents=True)

    def image(self, number: int, size: tuple[int, int] = (64, 48), patient: int | None = None) -> dict[str, str]:
        """An image on disk, and its identifiers as tables write them."""
        subject, study = 10_000_000 + (number if patient is None else patient), 50_000_000 + number
        path = f"files/p{str(subject)[:2]}/p{subject}/s{study}/{dicom_name(number)}.jpg"
        picture(self.jpg / path, size)
        return {"dicom_id": dicom_name(number), "subject_id": str(subject), "study_id": str(study), "path": path}

    def report(self, entry: Mapping[str, str], text: str) -> Path:
        """The report of an image's study."""
        path = self.reports / Path(entry["path"]).parent.with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def metadata(self, entries: Iterable[Mapping[str, str]], *, view: str = "PA") -> Path:
        """``mimic-cxr-2.0.0-metadata.csv.gz`` with all columns of the release."""
        header = ["dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows"]
        header += ["Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning"]
        header += ["ViewCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning"]
        rows = [
            [entry["dicom_id"], entry["subject_id"], entry["study_id"], "CHEST", view, "48", "64", "", "", "", "", ""]
            for entry in entries
        ]
        path = self.jpg / "mimic-cxr-2.0.0-metadata.csv.gz"
        path.write_bytes(gzip.compress(table_bytes([header, *rows])))
        return path

    def splits(self, pairs: Iterable[tuple[Mapping[str, str], str]]) -> Path:
        """``mimic-cxr-2.0.0-split.csv.gz``."""
        rows = [[entry["dicom_id"], entry["study_id"], entry["subject_id"], split] for entry, split in pairs]
        path = self.jpg / "mimic-cxr-2.0.0-split.csv.gz"
        path.write_bytes(gzip.compress(table_bytes([["dicom_id", "study_id", "subject_id", "split"], *rows])))
        return path


def write_json(path: Path, value: Any) -> Path:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def read_all(reader: DatasetReader) -> tuple[list[StudyRow], list[Fault]]:
    """Everything that a reader gives, rows and faults apart."""
    items = list(reader.read())
    rows = [item for item in items if isinstance(item, StudyRow)]
    return rows, [item for item in items if isinstance(item, Fault)]
