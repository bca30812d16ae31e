"""The studies of a folder as a list of work: of a data set with a manifest, or of images with their reports."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from knowmvg.core.errors import ManifestError
from knowmvg.core.records import Study
from knowmvg.inference.answering import Task
from knowmvg.sources.image import read_radiograph
from knowmvg.sources.manifest import read_rows
from knowmvg.sources.prepared import image_path, image_root
from knowmvg.sources.report import read_report, read_report_file
from knowmvg.sources.splits.empty import no_studies

IMAGES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg")
REPORT = ".txt"


@dataclass(frozen=True, slots=True)
class Item:
    """A study that is not yet read.

    Args:
        study: its identifier, carried into the result.
        folder: of the data set.
        image: file name as the manifest or the folder has it.
        report: its text, or ``None`` where it lies beside the image.
        size: ``(width, height)`` that the image must have, or ``None``.
    """

    study: str
    folder: str
    image: str
    report: str | None = None
    size: tuple[int, int] | None = None

    def read(self) -> Task:
        """The study in memory.

        Raises ``ImageError``, ``ReportError`` or ``ManifestError`` for one that cannot be read.
        """
        path = image_path(Path(self.folder), self.image)
        text = self.report if self.report is not None else read_report_file(path.with_suffix(REPORT))
        radiograph = read_radiograph(path)
        if self.size is not None and radiograph.size != self.size:
            got = f"{radiograph.size[0]} x {radiograph.size[1]}"
            wanted = f"{self.size[0]} x {self.size[1]} pixels in the image of study {self.study}"
            raise ManifestError(wanted, got, "Restore the image that the manifest was written for.")
        return Task(Study(radiograph, text, self.study), read_report(text), self.study)

    def to_dict(self) -> dict[str, Any]:
        """As plain types, to be sent to another process."""
        return asdict(self)


class WorkList:
    """The studies of a folder in their fixed order, in parts; iterating holds one part in memory.

    A folder with ``manifest.jsonl`` is a data set, of which ``split`` may choose the studies. In any other folder every
    image ``NAME.dcm|png|jpg`` with a report ``NAME.txt`` beside it is a study, its identifier is ``NAME``.

    Raises ``ManifestError`` for a folder without a study, images that are not mounted, a manifest line that does not
    follow the schema, or a split of a folder without manifest.
    """

    def __init__(self, folder: Path, split: str | None = None, part: int = 64) -> None:
        self.folder, self.split, self.part = folder, split, part
        self.listed = (folder / "manifest.jsonl").is_file()
        if self.listed:
            image_root(folder)
        elif split is not None:
            raise ManifestError(f"a data set with the split {split!r}", f"no manifest in {folder}", "Leave it out.")
        self.studies = sum(1 for _ in self)
        if not self.studies and self.listed:
            raise no_studies(folder, split)
        if not self.studies:
            images = sum(path.suffix.lower() in IMAGES for path in folder.iterdir())
            got = f"{images} image{'s' * (images > 1)}, none with its report" if images else "none"
            todo = f"Put NAME{REPORT} beside each image, or run knowmvg prepare."
            raise ManifestError(f"manifest.jsonl, or images with reports, in {folder}", got, todo)

    def __iter__(self) -> Iterator[Item]:
        here = str(self.folder)
        if self.listed:
            for row in read_rows(self.folder, self.split):
                yield Item(row.id, here, row.image, row.report, (row.width, row.height))
            return
        for name in _pairs(self.folder):
            yield Item(Path(name).stem, here, name)

    def parts(self) -> Iterator[tuple[int, list[Item]]]:
        """Numbered parts of ``part`` studies, the last may be shorter."""
        items, number = iter(self), 0
        while part := list(islice(items, self.part)):
            yield number, part
            number += 1

    def __len__(self) -> int:
        """Number of parts."""
        return -(-self.studies // self.part)

    def fingerprint(self) -> str:
        """SHA-256 of what the studies are: of the manifest, or of the names and sizes of the files."""
        state = hashlib.sha256()
        if self.listed:
            with (self.folder / "manifest.jsonl").open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        for name in _pairs(self.folder):
            path = self.folder / name
            report = path.with_suffix(REPORT)
            state.update(f"{name}\n{path.stat().st_size}\n{report.stat().st_size}\n".encode())
        return state.hexdigest()


def _pairs(folder: Path) -> list[str]:
    """Names of the images that have a report beside them, sorted; of several with one report the first."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    first = {Path(name).stem: name for name in reversed(names)}
    return [name for stem, name in sorted(first.items()) if (folder / f"{stem}{REPORT}").is_file()]
