"""A study from an image and the boxes that were drawn on it, each with its phrase: what COCO and CSV files have."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from knowmvg.core.records import Assertion
from knowmvg.sources.datasets.phrase_rows import only_finding, phrase_row, with_report
from knowmvg.sources.datasets.placing import inside
from knowmvg.sources.datasets.reader import Fault
from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.manifest import Box, PhraseRow, StudyRow


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file says of an image; sizes of 0 are for ``prepare`` to find, ``file`` and ``row`` name the place."""

    study: str
    image: str
    patient: str | None
    split: str
    width: int
    height: int
    report: str
    file: str
    row: int

    def stored(self) -> dict[str, Any]:
        """Its fields, for a ``Gathering``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A box of a phrase, a phrase without a box, or (``broken``: kind and detail) one whose box cannot be used."""

    text: str
    finding: str | None
    box: Box | None
    assertion: Assertion | None
    file: str
    row: int
    broken: tuple[str, str] | None = None

    def stored(self) -> dict[str, Any]:
        """Its fields, for a ``Gathering``."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Back from a ``Gathering``."""
        box, said = stored["box"], stored["assertion"]
        fields = {"box": None if box is None else tuple(box), "assertion": None if said is None else Assertion(said)}
        return cls(**{**stored, **fields})

    def fault(self, kind: str, detail: str, *, kept: bool) -> Fault:
        """The row of the box, mended or left out."""
        return Fault(kind, self.file, self.row, detail, kept)


def grouped_study(image: ImageFacts, drawn: list[Drawn]) -> Iterator[StudyRow | Fault]:
    """The study with a phrase for each text, after the faults of its boxes.

    A phrase of which one box cannot be used is left out as a whole: what is left of it would be an incomplete label.
    """
    by_text = dict[str, list[Drawn]]()
    for one in drawn:
        by_text.setdefault(one.text, []).append(one)
    phrases = list[PhraseRow]()
    for parts in by_text.values():
        phrase = yield from _phrase(image, parts)
        if phrase is not None:
            phrases.append(phrase)
    report, standing = with_report(image.report, phrases)
    yield StudyRow(
        id=image.study,
        patient=image.study if image.patient is None else image.patient,
        split=image.split,
        image=image.image,
        width=image.width,
        height=image.height,
        report=report,
        phrases=standing,
        source=f"{image.file}:{image.row}",
    )


def _phrase(image: ImageFacts, parts: list[Drawn]) -> Generator[Fault, None, PhraseRow | None]:
    """A phrase from its rows, or ``None`` where it cannot be used."""
    first, boxes, whole = parts[0], list[Box](), True
    for one in parts:
        try:
            if one.assertion != first.assertion:
                raise UnusableError("contradiction", "another assertion than an earlier row of the phrase")
            box, outside = _inside(one.box, image)
        except UnusableError as reason:
            yield one.fault(reason.kind, reason.detail, kept=False)
            whole = False
            continue
        whole = whole and one.broken is None
        if box is None:
            continue
        if box in boxes:
            yield one.fault(
                "duplicate row", "the same image, phrase and box as an earlier row; counted once", kept=True
            )
            continue
        if outside is not None:
            yield one.fault("box outside", outside, kept=True)
        boxes.append(box)
    if not whole:
        return None
    if boxes and first.assertion is not None and not first.assertion.placed:
        yield first.fault("boxes of an absent finding", f"{len(boxes)} boxes; dropped", kept=True)
        boxes = []
    finding = next((one.finding for one in parts if one.finding is not None), None) or only_finding(first.text)
    return phrase_row(first.text, finding, boxes, assertion=first.assertion)


def _inside(box: Box | None, image: ImageFacts) -> tuple[Box | None, str | None]:
    if box is None or not image.width:
        return box, None
    return inside(box, (image.width, image.height))
