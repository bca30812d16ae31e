"""MRG-MIMIC-Class: the categories of MS-CXR in place of a report, with the boxes of each on the image.

KnowMVG tests on "CLASS", texts that name and describe the categories on an image. The lineage's own file (uMedGround,
``MS_CXR_S_Class_test_gpt``, a pickle) has 158 texts by a language model, of which 82 are empty; neither those texts nor
how they were asked for were published. This reader makes such rows anew from the user's copy of MS-CXR (``ms_cxr.py``
says where its layout is from): a phrase for each category on an image, with the boxes of all its phrases; the text
names the categories, or describes them in the words of our atlas (knowledge/data/atlas.yaml). Nothing in the text says
where a finding lies. Numbers on these rows are therefore not comparable with the published ones.

Memory: MS-CXR is small and held by its reader; rows come one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from knowmvg.core.records import Assertion
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.sources.datasets.ms_cxr import MsCxr, open_ms_cxr
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.settings import choice
from knowmvg.sources.manifest import Box, PhraseRow, StudyRow

_NOTES = {
    "name": "The text of a study names its categories.",
    "description": "The text of a study names its categories and describes them in the words of the open atlas.",
}


def open_mrg_mimic_class(places: Places, options: Mapping[str, str]) -> MrgMimicClass:
    """The reader over MS-CXR in ``--root`` and MIMIC-CXR-JPG in ``--images``; reports are not read.

    Options: ``text`` (``description``, the default, or ``name``), and those of ``ms-cxr``.

    Raises:
        ManifestError: as the reader of MS-CXR.
        RecipeError: an option with a value that it does not have.
    """
    text = choice(options, "text", ("description", "name"))
    boxes = open_ms_cxr(replace(places, reports=None), {name: options[name] for name in options if name != "text"})
    return MrgMimicClass(boxes, described=text == "description")


@dataclass(frozen=True, slots=True)
class MrgMimicClass:
    """Rows of categories; see the module and ``open_mrg_mimic_class``."""

    boxes: MsCxr
    described: bool = True

    @property
    def facts(self) -> DatasetFacts:
        """Those of MS-CXR, under this name."""
        notes = (_NOTES["description" if self.described else "name"],)
        return replace(self.boxes.facts, name="MRG-MIMIC-Class of MS-CXR", notes=notes)

    @property
    def image_root(self) -> Path:
        """The folder of MIMIC-CXR-JPG."""
        return self.boxes.image_root

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation file of MS-CXR."""
        return self.boxes.files

    def read(self) -> Iterator[StudyRow | Fault]:
        """A study for each image of MS-CXR, in its order, after the faults of its file."""
        for row in self.boxes.read():
            yield row if isinstance(row, Fault) else self._study(row)

    def _study(self, row: StudyRow) -> StudyRow:
        drawn = dict[str, set[Box]]()
        for phrase in row.phrases:
            drawn.setdefault(str(phrase.finding), set()).update(phrase.boxes)
        report, phrases = "", list[PhraseRow]()
        for finding, boxes in sorted(drawn.items()):  # an order that says nothing of the image
            name = finding.capitalize()
            start = len(report) + 1 if report else 0
            about = _about(finding) if self.described else None
            report = f"{report} {name}{f': {about}' if about else ''}.".lstrip()
            span = (start, start + len(name))
            phrases.append(
                PhraseRow(
                    text=name, span=span, finding=finding, assertion=Assertion.PRESENT, boxes=tuple(sorted(boxes))
                )
            )
        return row.model_copy(update={"report": report, "phrases": tuple(phrases)})


@cache
def _about(finding: str) -> str | None:
    """What the atlas says of a finding, or ``None`` where it has no line on it."""
    return next((entry.about for entry in load_atlas().findings if entry.name == finding), None)
