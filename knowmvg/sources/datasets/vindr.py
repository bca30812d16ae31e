"""VinDr-CXR 1.0.0 (PhysioNet, credentialed): 18,000 radiographs with boxes for 22 findings; and the set as on Kaggle.

Layout, from Nguyen et al., Scientific Data 2022;9:429, and the public loaders of the release::

    annotations/annotations_train.csv    image_id,rad_id,class_name,x_min,y_min,x_max,y_max
    annotations/annotations_test.csv     image_id,class_name,x_min,y_min,x_max,y_max
    annotations/image_labels_train.csv   image_id,rad_id, a column of 0 and 1 for each label
    annotations/image_labels_test.csv    image_id, a column of 0 and 1 for each label
    train/<image_id>.dicom  test/<image_id>.dicom

Boxes are two corners in DICOM pixels. Three radiologists read each training image independently; a test image has the
consensus of five. A reader who saw nothing has a row of class ``No finding`` without a box. The competition on Kaggle
published the training part under other identifiers as ``train.csv`` (``image_id,class_name,class_id,rad_id,...``) with
14 of the findings and no labels of its test part.

The DICOM files keep only size, pixels and a few such elements; modality and SOP class are gone (the release's own
code, github.com/vinbigdata-medical/vindr-cxr, lists what stays), so the class is read from the file's meta information.

Not verified on the original files: that every image without a finding has such a row (``image_labels`` is read for
images that have none), and that no further columns exist. No patient identifiers are published in the tables: each
image counts as a patient of its own, so splits of this set cannot be shown to be patient-disjoint.

Memory: rows are gathered by image in a temporary database; nothing grows with the set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from knowmvg.core.records import Assertion
from knowmvg.sources.datasets.categories import categories_of
from knowmvg.sources.datasets.fusing import fuse
from knowmvg.sources.datasets.gathering import Gathering
from knowmvg.sources.datasets.phrase_rows import phrase_row, with_report
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.settings import choice, count, word
from knowmvg.sources.datasets.vindr_tables import CONSENSUS, Part, Seen, check_headers, find_parts, gather
from knowmvg.sources.manifest import Box, PhraseRow, StudyRow

_LICENCE = "PhysioNet Credentialed Health Data License 1.5.0"
_NOTES = (
    "No reports: a report is the names of the findings that have boxes.",
    "No patient identifiers: each image counts as a patient of its own.",
)


def open_vindr(places: Places, options: Mapping[str, str]) -> VinDrReader:
    """The reader of the user's copy.

    Options: ``readers`` (``fuse``, the default: agreeing boxes of the three readers become their mean; ``keep``: a
    study for each reader), ``agreement`` (readers who must agree when fusing; 1), ``diseases`` (``leave``, the default,
    or ``phrases``: labels of the whole image as phrases without boxes), ``suffix`` (of the image files; ``dicom``;
    another only for images in the size of the DICOM files, which the boxes refer to).

    Raises:
        ManifestError: the tables are missing, or their headers are not those of the release.
        RecipeError: an option with a value that it does not have.
    """
    parts, version, kaggle = find_parts(places)
    for part in parts:
        check_headers(part)
    notes = (*_NOTES, "Licence: the rules of the competition.") if kaggle else _NOTES
    licence = "rules of the competition on Kaggle" if kaggle else _LICENCE
    source = "https://physionet.org/content/vindr-cxr/"
    facts = DatasetFacts("VinDr-CXR", version, licence, True, source, notes, named=True)
    return VinDrReader(
        facts,
        places.images or places.root,
        parts,
        fusing=choice(options, "readers", ("fuse", "keep")) == "fuse",
        agreement=count(options, "agreement", 1, most=3),
        diseases=choice(options, "diseases", ("leave", "phrases")) == "phrases",
        suffix=word(options, "suffix", "dicom"),
    )


@dataclass(frozen=True, slots=True)
class VinDrReader:
    """Rows of VinDr-CXR; see the module and ``open_vindr``. ``width`` and ``height`` are 0: the image has them."""

    facts: DatasetFacts
    image_root: Path
    parts: tuple[Part, ...]
    fusing: bool = True
    agreement: int = 1
    diseases: bool = False
    suffix: str = "dicom"

    @property
    def files(self) -> tuple[Path, ...]:
        """The tables."""
        return tuple(path for part in self.parts for path in (part.boxes, part.labels) if path is not None)

    def read(self) -> Iterator[StudyRow | Fault]:
        """The images in the order of the tables, training part first."""
        with Gathering() as images:
            for part in self.parts:
                yield from gather(part, images)
            for image, rows in images:
                seen = [Seen(**row) for row in rows]
                if len({one.split for one in seen}) > 1:
                    yield seen[-1].fault("image in two splits", "in the training and in the test part", kept=False)
                else:
                    yield from self._studies(image, seen)

    def _studies(self, image: str, seen: list[Seen]) -> Iterator[StudyRow | Fault]:
        clean = yield from _without_repeats(seen)
        if self.fusing:
            yield self._study(image, image, clean, self.agreement)
            return
        for reader, own in groupby(sorted(clean, key=lambda one: one.reader), key=lambda one: one.reader):
            yield self._study(image, image if reader == CONSENSUS else f"{image}-{reader}", list(own), 1)

    def _study(self, image: str, study: str, seen: list[Seen], agreement: int) -> StudyRow:
        split = seen[0].split
        needed = 1 if seen[0].reader == CONSENSUS else agreement
        drawn: dict[str, list[tuple[str, Box]]] = {}
        for one in seen:
            if one.finding is not None and one.box is not None:
                drawn.setdefault(one.finding, []).append((one.reader, one.box))
        for one in seen:
            if one.finding is not None and one.box is None:
                drawn.pop(one.finding, None)
        agreed = {name: _agreed(boxes, needed, self.fusing) for name, boxes in drawn.items()}
        phrases = [_phrase(name, boxes) for name, boxes in agreed.items() if boxes]
        if self.diseases:
            votes = Counter(name for one in seen for name in one.diseases)
            phrases += [_phrase(name, ()) for name, readers in votes.items() if readers >= needed]
        report, standing = with_report("", phrases)
        return StudyRow(
            id=study,
            patient=image,
            split=split,
            image=f"{split}/{image}.{self.suffix}",
            width=0,
            height=0,
            report=report,
            phrases=standing,
            source=f"{seen[0].file}:{seen[0].line}",
        )


def _agreed(drawn: list[tuple[str, Box]], needed: int, fusing: bool) -> list[Box]:
    """The boxes of a finding; none where too few readers agree on any."""
    if not fusing or drawn[0][0] == CONSENSUS:
        return [box for _, box in drawn]
    return [box for box, readers in fuse(drawn) if readers >= needed]


def _phrase(name: str, boxes: Iterable[Box]) -> PhraseRow:
    finding = categories_of("vindr-cxr").finding(name)
    return phrase_row(name, finding, boxes, assertion=Assertion.PRESENT)


def _without_repeats(seen: list[Seen]) -> Generator[Fault, None, list[Seen]]:
    """The rows of an image, each once; a reader's word of no finding beside a finding of the same reader is dropped."""
    clean = dict[tuple[object, ...], Seen]()
    for one in seen:
        key = (one.reader, one.finding, one.box, one.diseases)
        if key in clean and one.broken is None:
            yield one.fault("duplicate row", "the same reader, finding and box as an earlier row; counted once")
        clean.setdefault(key, one)
    busy = {one.reader for one in clean.values() if one.finding is not None}
    for one in clean.values():
        if one.says_nothing and one.reader in busy:
            yield one.fault("contradiction", "no finding, and a finding of the same reader, which is kept")
    return list(clean.values())
