"""What is in each split of a data set, counted row by row."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field

from knowmvg.sources.manifest import StudyRow


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Patients, distinct images, studies (rows of the manifest), phrases and boxes of one split."""

    patients: int
    images: int
    studies: int
    phrases: int
    boxes: int

    def as_dict(self) -> dict[str, int]:
        """By name, for JSON."""
        return asdict(self)


@dataclass(slots=True)
class Tally:
    """Counts rows by split; memory grows with the number of patients and images, not with their reports."""

    _patients: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _images: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _numbers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))

    def add(self, row: StudyRow) -> None:
        """Count a row in its split."""
        self._patients[row.split].add(row.patient)
        self._images[row.split].add(row.image)
        numbers = self._numbers[row.split]
        numbers[0] += 1
        numbers[1] += len(row.phrases)
        numbers[2] += sum(len(phrase.boxes) for phrase in row.phrases)

    def counts(self, split: str) -> SplitCounts:
        """The numbers of a split; zeros for one without rows."""
        studies, phrases, boxes = self._numbers.get(split, (0, 0, 0))
        return SplitCounts(
            len(self._patients.get(split, ())), len(self._images.get(split, ())), studies, phrases, boxes
        )

    def shared_patients(self, one: str, other: str) -> int:
        """How many patients are in both splits."""
        return len(self._patients.get(one, set()) & self._patients.get(other, set()))
