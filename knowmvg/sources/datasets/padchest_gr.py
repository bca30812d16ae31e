"""PadChest-GR: 4,555 radiographs whose reports are lists of sentences, in English and Spanish, with boxes.

Castro et al., "PadChest-GR: a bilingual chest X-ray dataset for grounded radiology report generation", NEJM AI 2025
(arXiv 2411.05085); on request from BIMCV. Layout, from public loaders of the release::

    grounded_reports_20240819.json   a list of studies: StudyID, ImageID (the PNG's name), findings [
        sentence_en, sentence_es, abnormal, boxes, extra_boxes, labels, locations, progression]
    master_table.csv                 a row for each study and label: StudyID, ImageID, PatientID, split, label_group ...
    Padchest_GR_files/PadChest_GR/<ImageID>

Boxes are corners ``[x1, y1, x2, y2]`` as fractions of the image's sides; ``extra_boxes`` are those of a second reader.
Negative sentences (``abnormal`` false) often have none of the keys after it. The split is ``train``, ``validation`` or
``test``. The release is named by the date in the file's name.

The report of a row is its sentences, each with its characters. A negative sentence is a phrase with assertion
``absent`` and without boxes. ``progression`` is checked to be a text; the manifest has no place for it. The finding is
the one to which all of a sentence's mapped labels lead (``categories.yaml``), side and zone are read from the sentence
in English, and from ``locations`` where it names none.

Not verified on the original files: the values of ``progression`` and the exact spelling of ``locations`` (here ``loc``
and the place in words, as PadChest writes them).

Memory: studies are read one at a time; the patient and split of each study (4,555) are held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from knowmvg.core.errors import ManifestError
from knowmvg.core.records import Assertion, Side
from knowmvg.sources.datasets.categories import categories_of
from knowmvg.sources.datasets.json_lists import JsonItem, numbers, read_list
from knowmvg.sources.datasets.official_split import official_split
from knowmvg.sources.datasets.phrase_rows import only_finding, phrase_row, with_report
from knowmvg.sources.datasets.placing import inside
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.settings import choice
from knowmvg.sources.datasets.stored import box_from_fractions, identifier, stored_size
from knowmvg.sources.datasets.tables import UnusableError, find_table, read_columns
from knowmvg.sources.manifest import Box, PhraseRow, StudyRow

FOLDERS = ("Padchest_GR_files/PadChest_GR", "PadChest_GR", "")
_NAME = re.compile(r"grounded_reports_(\d{8})\.json(\.gz)?")
_SOURCE = "https://bimcv.cipf.es/bimcv-projects/padchest-gr/"
_LICENCE = "research use agreement of BIMCV"
_PROGRESSION = "Progression of a finding is not carried over: a manifest has no place for it."
COLUMNS = ("StudyID", "PatientID", "split")


def open_padchest_gr(places: Places, options: Mapping[str, str]) -> PadChestGr:
    """The reader of the user's copy.

    Options: ``language`` (``en``, the default, or ``es``), ``boxes`` (``first``, the default, or ``second``: the
    second reader's boxes of a sentence where there are any, else the first's).

    Raises:
        ManifestError: a file is missing or is not that of the release.
        RecipeError: an option with a value that it does not have.
    """
    reports, version = _reports(places.annotations or places.root)
    table = find_table(reports.parent, "master_table.csv")
    if table is None:
        todo = "Put it beside the reports; unpack master_table.csv.zip."
        raise ManifestError("master_table.csv with patients and splits", f"none in {reports.parent}", todo)
    next(read_columns(table, COLUMNS), None)  # checks the header
    next(read_list(reports), None)
    images = places.images or next(places.root / part for part in FOLDERS if (places.root / part).is_dir())
    language, boxes = choice(options, "language", ("en", "es")), choice(options, "boxes", ("first", "second"))
    notes = (f"Sentences in {'English' if language == 'en' else 'Spanish'}, boxes of the {boxes} reader.", _PROGRESSION)
    facts = DatasetFacts("PadChest-GR", version, _LICENCE, True, _SOURCE, notes)
    return PadChestGr(facts, images, (reports, table), f"sentence_{language}", boxes == "second")


@dataclass(frozen=True, slots=True)
class PadChestGr:
    """Rows of PadChest-GR; see the module and ``open_padchest_gr``. ``files`` are the reports and the master table."""

    facts: DatasetFacts
    image_root: Path
    files: tuple[Path, Path]
    sentence: str = "sentence_en"
    second: bool = False

    def read(self) -> Iterator[StudyRow | Fault]:
        """The studies in the order of the reports; faults of the master table come first."""
        reports, table = self.files
        patients = dict[str, tuple[str, str]]()
        yield from _take_patients(table, patients)
        done = set[str]()
        for item in read_list(reports):
            if isinstance(item, Fault):
                yield item
                continue
            try:
                study, image = identifier(item.name("StudyID")), identifier(item.text("ImageID"))
                if study not in patients:
                    raise UnusableError("unknown study", "not in master_table.csv")
                if image in done:
                    raise UnusableError("duplicate image", "an image that an earlier study has")
                done.add(image)
                yield from self._study(item, image, *patients[study])
            except UnusableError as reason:
                yield item.fault(reason)

    def _study(self, item: JsonItem, image: str, patient: str, split: str) -> Iterator[StudyRow | Fault]:
        size = stored_size(self.image_root, image)
        phrases = []
        for number, content in enumerate(item.items("findings"), 1):
            finding = JsonItem(item.file, item.place, content if isinstance(content, dict) else {})
            try:
                phrase, doubts = self._phrase(finding, size)
            except UnusableError as reason:
                yield item.fault(UnusableError(reason.kind, f"finding {number}: {reason.detail}"))
                continue
            phrases.append(phrase)
            for kind, detail in doubts:
                yield item.mended(kind, f"finding {number}: {detail}")
        report, standing = with_report("", phrases)
        yield StudyRow(
            id=image.removesuffix(".png"),
            patient=patient,
            split=split,
            image=image,
            width=size[0],
            height=size[1],
            report=report,
            phrases=standing,
            source=f"{item.file}:{item.place}",
        )

    def _phrase(self, item: JsonItem, size: tuple[int, int]) -> tuple[PhraseRow, list[tuple[str, str]]]:
        text, english = item.text(self.sentence), item.optional("sentence_en") or ""
        item.optional("progression")
        abnormal = item.values.get("abnormal")
        if not isinstance(abnormal, bool):
            raise UnusableError("wrong type", "neither true nor false at 'abnormal'")
        boxes, doubts = self._boxes(item, size)
        if boxes and not abnormal:
            boxes, doubts = [], [("boxes of an absent finding", f"{len(boxes)} boxes of a negative sentence; dropped")]
        assertion = Assertion.PRESENT if abnormal else Assertion.ABSENT
        phrase = phrase_row(english or text, _finding(item, english), boxes, assertion=assertion)
        return phrase.model_copy(update={"text": text, "side": phrase.side or _side(item)}), doubts

    def _boxes(self, item: JsonItem, size: tuple[int, int]) -> tuple[list[Box], list[tuple[str, str]]]:
        drawn = (item.items("extra_boxes") if self.second else []) or item.items("boxes")
        boxes, doubts = list[Box](), list[tuple[str, str]]()
        for corners in drawn:
            box, outside = inside(box_from_fractions(numbers(corners, 4, "a box"), size), size)
            if box in boxes:
                doubts.append(("duplicate box", "the same box twice; counted once"))
                continue
            boxes.append(box)
            if outside is not None:
                doubts.append(("box outside", outside))
        return boxes, doubts


def _finding(item: JsonItem, english: str) -> str | None:
    """The finding of the labels, or of the sentence where it has no labels."""
    labels = [label for label in item.items("labels") if isinstance(label, str)]
    if not labels:
        return only_finding(english)
    found = {categories_of("padchest-gr").finding(label) for label in labels} - {None}
    return found.pop() if len(found) == 1 else None


def _side(item: JsonItem) -> Side | None:
    words = {word for place in item.items("locations") if isinstance(place, str) for word in place.casefold().split()}
    if "bilateral" in words or {"left", "right"} <= words:
        return Side.BILATERAL
    return Side.LEFT if "left" in words else Side.RIGHT if "right" in words else None


def _take_patients(table: Path, patients: dict[str, tuple[str, str]]) -> Iterator[Fault]:
    """Patient and split of each study; a study with two of either is left out, with a fault."""
    torn = set[str]()
    for row in read_columns(table, COLUMNS):
        if isinstance(row, Fault):
            yield row
            continue
        try:
            study, entry = row.text("StudyID"), (row.text("PatientID"), official_split(row.text("split")))
            if patients.setdefault(study, entry) != entry:
                torn.add(study)
                raise UnusableError("contradiction", "another patient or split than an earlier row of the study")
        except UnusableError as reason:
            yield row.fault(reason)
    for study in torn:
        del patients[study]


def _reports(place: Path) -> tuple[Path, str]:
    """The newest file of reports, and its date."""
    files = [place] if place.is_file() else sorted(place.iterdir()) if place.is_dir() else []
    dated = [(match[1], path) for path in files if (match := _NAME.fullmatch(path.name)) and path.is_file()]
    if not dated:
        todo = "Give the folder of the release as --root."
        raise ManifestError("grounded_reports_<date>.json of PadChest-GR", f"none at {place}", todo)
    version, path = max(dated)
    return path, version
