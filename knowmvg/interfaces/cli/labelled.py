"""A labelled data set folder as the evaluation reads it: a study is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Self, overload

from knowmvg.core.errors import ImageError, ManifestError
from knowmvg.core.records import Study
from knowmvg.sources.manifest import StudyRow, load_study, read_rows
from knowmvg.sources.splits.empty import no_studies


class LabelledStudies(Sequence[Study]):
    """The studies of one split of a manifest folder.

    Raises:
        ManifestError: no manifest, a line that does not follow the schema, or no study in the split.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.rows = folder, list(read_rows(folder, split))
        if not self.rows:
            raise no_studies(folder, split)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Study]: ...
    def __getitem__(self, index: int | slice) -> Study | Sequence[Study]:
        """A study with its image and labels."""
        if isinstance(index, slice):
            return [self._load(row) for row in self.rows[index]]
        return self._load(self.rows[index])

    def only(self, ids: Sequence[str]) -> Self:
        """Those of these identifiers, in their order.

        Raises:
            ManifestError: the split lacks one of them.
        """
        by_id = {row.id: row for row in self.rows}
        lost = [id for id in ids if id not in by_id]
        if lost:
            raise ManifestError(f"the study {lost[0]!r}", f"none in {self.folder}", "Restore the data set.")
        found = copy(self)
        found.rows = [by_id[id] for id in ids]
        return found

    def of(self, id: str) -> Study:
        """The study of an identifier.

        Raises:
            ManifestError: the split has none, or its image cannot be read.
        """
        for row in self.rows:
            if row.id == id:
                return self._load(row)
        raise ManifestError(f"the study {id!r}", f"none in {self.folder}", "Choose the data set that it comes from.")

    def _load(self, row: StudyRow) -> Study:
        try:
            return load_study(self.folder, row)
        except (OSError, ImageError) as error:
            raise ManifestError(
                f"the image of study {row.id}",
                error.got if isinstance(error, ImageError) else f"{type(error).__name__} at {row.image}",
                "Restore the data set's files.",
            ) from error


def boxed_studies(folder: Path, split: str) -> LabelledStudies:
    """The studies of a split that boxes are to be measured on.

    Raises ``ManifestError`` as ``LabelledStudies``, and for a split without a box.
    """
    found = LabelledStudies(folder, split)
    if not any(phrase.boxes for row in found.rows for phrase in row.phrases):
        todo = "Name a split or a data set whose phrases have boxes."
        raise ManifestError(f"phrases with boxes in the split {split!r} of {folder}", "none", todo)
    return found


def training_studies(folder: Path) -> LabelledStudies | None:
    """The studies that controls learn from; ``None`` for a data set whose split train is empty or has no box.

    Raises ``ManifestError`` for no manifest, or a line that does not follow the schema.
    """
    if not any(phrase.boxes for row in read_rows(folder, "train") for phrase in row.phrases):
        return None
    return LabelledStudies(folder, "train")
