"""MS-CXR 0.1 and 1.1.0: phrases of eight findings with boxes by radiologists, on images of MIMIC-CXR.

Boecking et al., ECCV 2022; PhysioNet ``ms-cxr``. Release 0.1 holds ``MS_CXR_Local_Alignment_v1.0.0.{csv,json}``,
release 1.1.0 ``MS_CXR_Local_Alignment_v1.1.0.{csv,json}`` with an official ``split``. The layout was taken from public
loaders, since the files are credentialed and were not seen::

    csv   category_name, label_text, path, x, y, w, h, image_width, image_height, dicom_id[, split]
    json  info.version; categories [id, name]; images [id, file_name, path, width, height];
          annotations [id, image_id, category_id, bbox, label_text[, split]]

Boxes are left, top, width and height in pixels of the original image; ``path`` is relative to MIMIC-CXR-JPG. All
phrases of an image make one study; rows with the same image, category and text are one phrase with several boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.sources.datasets.categories import categories_of
from knowmvg.sources.datasets.mimic_cxr import LICENCE, MimicCopy
from knowmvg.sources.datasets.ms_cxr_files import Annotation, read_csv, read_json
from knowmvg.sources.datasets.placing import inside
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.tables import UnusableError
from knowmvg.sources.datasets.wording import Standing, find_phrase, joined_report, read_phrase
from knowmvg.sources.manifest import Box, PhraseRow, StudyRow

RELEASES = {"1.1.0": "MS_CXR_Local_Alignment_v1.1.0", "0.1": "MS_CXR_Local_Alignment_v1.0.0"}
FORMATS = {"csv": read_csv, "json": read_json}

_Key = tuple[str, str]  # category and text of a phrase


def open_ms_cxr(places: Places, options: Mapping[str, str], *, option: str = "--root") -> MsCxr:
    """The reader of a release.

    ``--root`` holds the release's files (or ``--annotations`` names one of them), ``--images`` MIMIC-CXR-JPG,
    ``--reports`` the reports of MIMIC-CXR. ``option`` is how the user names the folder of the release.

    Raises:
        RecipeError: a setting with another value.
        ManifestError: files are missing or are not those of the release.
    """
    path, version = _annotations(places, options, option)
    copy = MimicCopy.at(places)
    split = _chosen("split", options, ("ms-cxr", "mimic"), "ms-cxr")
    return MsCxr(path, version, copy, mimic_split=split == "mimic")


def _annotations(places: Places, options: Mapping[str, str], option: str) -> tuple[Path, str]:
    """The annotation file and the release that it belongs to."""
    versions = [_chosen("version", options, tuple(RELEASES), "")] if "version" in options else list(RELEASES)
    forms = [_chosen("format", options, tuple(FORMATS), "")] if "format" in options else list(FORMATS)
    if places.annotations is not None:
        if not places.annotations.is_file():
            raise ManifestError("a file of MS-CXR", f"none at {places.annotations}", "Correct --annotations.")
        named = [version for version in RELEASES if places.annotations.name.startswith(RELEASES[version])]
        return places.annotations, (named or versions)[0]
    for version in versions:
        for form in forms:
            for folder in (places.root, places.root / version):
                path = folder / f"{RELEASES[version]}.{form}"
                if path.is_file():
                    return path, version
    names = ", ".join(f"{RELEASES[version]}.{form}" for version in versions for form in forms)
    here = sorted(path.name for stem in RELEASES.values() for path in places.root.glob(f"{stem}.*"))
    todo = f"Name the folder of MS-CXR with {option}."
    if here:
        todo = "Leave out the settings version and format, or download the release that they name."
    raise ManifestError(f"one of {names}", f"{', '.join(here) or 'none'} in {places.root}", todo)


def _chosen(name: str, options: Mapping[str, str], known: tuple[str, ...], usual: str) -> str:
    value = options.get(name, usual)
    if value not in known:
        raise RecipeError(f"{name} as one of {', '.join(known)}", repr(value), "Choose one of them.")
    return value


@dataclass(slots=True)
class _Drawn:
    """What was drawn on an image: boxes by phrase, and the phrases that have a row that cannot be used."""

    first: Annotation
    boxes: dict[_Key, list[Box]]
    broken: set[_Key]


class MsCxr:
    """The reader of one annotation file. The release is small (1,448 boxes on 1,047 images): it is held in memory."""

    def __init__(self, path: Path, version: str, copy: MimicCopy, *, mimic_split: bool = False) -> None:
        self.path, self.copy, self.mimic_split = path, copy, mimic_split
        self.image_root, self.files = copy.images, (path,)
        notes = () if copy.reports else ("No reports were given: the text of a study is its phrases, joined.",)
        self.facts = DatasetFacts(
            name="MS-CXR",
            version=version,
            licence=LICENCE,
            credentialed=True,
            source="PhysioNet ms-cxr; Boecking et al., ECCV 2022, doi:10.1007/978-3-031-20059-5_1",
            notes=notes,
        )
        next(self._entries(), None)  # the header is that of the release, or this says so

    def _entries(self) -> Iterator[Annotation | Fault]:
        form = FORMATS["json" if self.path.suffix.casefold() == ".json" else "csv"]
        return form(self.path, split=self.facts.version != "0.1")

    def read(self) -> Iterator[StudyRow | Fault]:
        """A study for each image with phrases, in the order of the file; the faults of the file come first."""
        images: dict[str, _Drawn] = {}
        for entry in self._entries():
            if isinstance(entry, Fault):
                yield entry
            else:
                yield from _take(entry, images)
        views = self.copy.views(images.keys())
        splits = self.copy.official(images.keys()) if self.mimic_split else {}
        for dicom, drawn in images.items():
            phrases = {key: boxes for key, boxes in drawn.boxes.items() if key not in drawn.broken}
            if not phrases:
                continue
            try:
                yield self._study(drawn.first, phrases, views.get(dicom), splits.get(dicom))
            except UnusableError as reason:
                yield drawn.first.fault(reason)

    def _study(
        self, first: Annotation, phrases: Mapping[_Key, list[Box]], view: str | None, split: str | None
    ) -> StudyRow:
        texts = [text for _, text in phrases]
        if self.copy.reports is None:
            report, places = joined_report(texts)
        else:
            report = self.copy.report(first.image.patient, first.image.study)
            places = {text: find_phrase(report, text) for text in texts}
        if self.mimic_split and split is None:
            raise UnusableError("unknown split", "the image is not in the split of MIMIC-CXR-JPG")
        return StudyRow(
            id=first.image.dicom,
            patient=first.image.patient,
            split=split if split is not None else first.split,
            image=first.image.path,
            width=first.size[0],
            height=first.size[1],
            report=report,
            phrases=tuple(_phrase(key, boxes, places[key[1]]) for key, boxes in phrases.items()),
            view=view,
            source=first.source,
        )


def _take(entry: Annotation, images: dict[str, _Drawn]) -> Iterator[Fault]:
    """Put an annotation with its image; what cannot be used makes its whole phrase unusable."""
    drawn = images.setdefault(entry.image.dicom, _Drawn(entry, {}, set()))
    key = (entry.category, entry.text)
    boxes = drawn.boxes.setdefault(key, [])
    try:
        if (entry.image, entry.size, entry.split) != (drawn.first.image, drawn.first.size, drawn.first.split):
            detail = f"path, image size or split differ from those of the image in row {drawn.first.row}"
            raise UnusableError("contradiction", detail)
        if not categories_of("ms-cxr").knows(entry.category):
            raise UnusableError("unknown category", "none of the eight of MS-CXR")
        box, outside = inside(entry.box(), entry.size)
    except UnusableError as reason:
        drawn.broken.add(key)
        yield entry.fault(reason)
        return
    if box in boxes:
        yield entry.mended("duplicate row", "the same image, category, text and box as an earlier row; counted once")
        return
    if outside is not None:
        yield entry.mended("box outside", outside)
    boxes.append(box)


def _phrase(key: _Key, boxes: list[Box], place: Standing) -> PhraseRow:
    category, text = key
    finding = categories_of("ms-cxr").finding(category)
    said = read_phrase(text, finding)
    return PhraseRow(
        text=text,
        span=place.span,
        section=place.section,
        assertion=said.assertion,
        finding=finding,
        side=said.side,
        zone=said.zone,
        boxes=tuple(sorted(boxes)),
    )
