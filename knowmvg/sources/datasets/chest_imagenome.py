"""Chest ImaGenome 1.0.0 (PhysioNet, credentialed): boxes of anatomy on 242,072 frontal radiographs of MIMIC-CXR.

Wu et al., NeurIPS Datasets and Benchmarks 2021. Layout of the silver set, from public loaders of the release::

    silver_dataset/splits/{train,valid,test}.csv      (number), subject_id, study_id, dicom_id, path, ViewPosition
    silver_dataset/splits/images_to_avoid.csv         subject_id, study_id, dicom_id: patients of the gold set
    silver_dataset/scene_graph/<dicom_id>_SceneGraph.json
        image_id, viewpoint, patient_id, study_id, objects [object_id, bbox_name, name, synsets,
        x1, y1, x2, y2, width, height, original_x1, ..., original_height], attributes, relationships

``x1`` ... ``y2`` are in a frame of 224 x 224 pixels, ``original_x1`` ... in pixels of the image in MIMIC-CXR, and these
are read. The boxes come from a detector with an atlas behind it, not from readers. Public users report boxes that lie
outside the image, wholly or in part, and boxes without area: such a box is clipped, or its region left out of the
study, and counted; the rest of the study is kept, since its other regions are labels of their own.

Each region is a phrase: its name, no finding, assertion ``present``, the side and zone in the name. Reports are not
read: a row's report is the names, because the set serves to pre-train the placing of anatomy (docs/data.md). Attributes
and relations between regions and the gold set are not read.

Not verified on the original files: the header of ``images_to_avoid.csv`` beyond its ``dicom_id``. The unpacking of
``scene_graph.zip`` may leave a folder in a folder; both are found.

Memory: splits and scene graphs are read one at a time; the identifiers of the images to avoid are held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from knowmvg.core.errors import ManifestError
from knowmvg.core.records import Assertion
from knowmvg.sources.datasets.json_lists import JsonItem, read_object
from knowmvg.sources.datasets.mimic_cxr import LICENCE, MimicCopy, MimicImage, mimic_image
from knowmvg.sources.datasets.official_split import official_split
from knowmvg.sources.datasets.phrase_rows import phrase_row, with_report
from knowmvg.sources.datasets.placing import box_from_xyxy, inside
from knowmvg.sources.datasets.reader import DatasetFacts, Fault, Places
from knowmvg.sources.datasets.settings import choice
from knowmvg.sources.datasets.stored import stored_size
from knowmvg.sources.datasets.tables import TableRow, UnusableError, find_table, read_columns, read_table
from knowmvg.sources.manifest import Box, PhraseRow, StudyRow
from knowmvg.sources.prepared import path_within

COLUMNS = ("subject_id", "study_id", "dicom_id", "ViewPosition")
CORNERS = ("x1", "y1", "x2", "y2")
MAX_REGIONS = 1_000
_NOTES = (
    "Boxes of anatomy from a detector (the silver set), for pre-training.",
    "No reports: a report is the names of the regions.",
)


def open_chest_imagenome(places: Places, options: Mapping[str, str]) -> ChestImaGenome:
    """The reader of the silver set in ``--root`` over the images of MIMIC-CXR-JPG in ``--images``.

    Options: ``gold`` (``leave``, the default: images of the gold set's patients, as ``images_to_avoid.csv`` lists them,
    are left out; ``keep``).

    Raises:
        ManifestError: files are missing or are not those of the release.
        RecipeError: an option with a value that it does not have.
    """
    silver = next((part for part in (places.root / "silver_dataset", places.root) if (part / "splits").is_dir()), None)
    if silver is None:
        todo = "Give the folder of the release as --root."
        raise ManifestError("silver_dataset/splits of Chest ImaGenome", f"none in {places.root}", todo)
    graphs = places.annotations or silver / "scene_graph"
    graphs = graphs / "scene_graph" if (graphs / "scene_graph").is_dir() else graphs
    if not graphs.is_dir():
        raise ManifestError("a folder of scene graphs", f"none at {graphs}", "Unpack scene_graph.zip there.")
    tables = [table for name in ("train", "valid", "test") if (table := find_table(silver / "splits", f"{name}.csv"))]
    if not tables:
        got = f"none in {silver / 'splits'}"
        raise ManifestError("train.csv, valid.csv or test.csv", got, "Restore the release's files.")
    avoided = find_table(silver / "splits", "images_to_avoid.csv")
    if choice(options, "gold", ("leave", "keep")) == "keep":
        avoided = None
    elif avoided is None:
        todo = "Restore it, or set gold=keep to keep the patients of the gold set."
        raise ManifestError("images_to_avoid.csv", f"none in {silver / 'splits'}", todo)
    for table in tables:
        next(read_columns(table, COLUMNS), None)  # checks the header
    if avoided is not None:
        next(read_columns(avoided, ("dicom_id",)), None)
    facts = DatasetFacts(
        "Chest ImaGenome",
        "1.0.0, silver",
        LICENCE,
        True,
        "https://physionet.org/content/chest-imagenome/",
        _NOTES,
        named=True,
    )
    return ChestImaGenome(facts, MimicCopy.at(places).images, tuple(tables), avoided, graphs)


@dataclass(frozen=True, slots=True)
class ChestImaGenome:
    """Rows of the silver set; see the module and ``open_chest_imagenome``."""

    facts: DatasetFacts
    image_root: Path
    tables: tuple[Path, ...]
    avoided: Path | None
    graphs: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The tables of the splits; the scene graphs are too many to be compared."""
        return self.tables if self.avoided is None else (*self.tables, self.avoided)

    def read(self) -> Iterator[StudyRow | Fault]:
        """The images in the order of the splits: train, valid, test."""
        avoided = set[str]()
        if self.avoided is not None:
            for row in read_columns(self.avoided, ("dicom_id",)):
                if isinstance(row, Fault):
                    yield row
                else:
                    avoided.add(row.values["dicom_id"].casefold())
        for table in self.tables:
            split = official_split(table.name.split(".")[0])
            for row in read_table(table, COLUMNS, optional=("path", "Unnamed: 0")):
                if isinstance(row, Fault):
                    yield row
                    continue
                try:
                    image = mimic_image(row.text("subject_id"), row.text("study_id"), row.text("dicom_id"))
                    if image.dicom not in avoided:
                        yield from self._study(row, image, split)
                except UnusableError as reason:
                    yield row.fault(reason)

    def _study(self, row: TableRow, image: MimicImage, split: str) -> Iterator[StudyRow | Fault]:
        graph = self._graph(image)
        size = stored_size(self.image_root, image.path)
        regions = graph.items("objects")
        if len(regions) > MAX_REGIONS:
            raise UnusableError("too many regions", f"more than {MAX_REGIONS} in the scene graph")
        phrases = dict[str, PhraseRow]()
        for place, content in enumerate(regions, 1):
            item = JsonItem(graph.file, place, content if isinstance(content, dict) else {})
            try:
                name = item.text("bbox_name")
                if name in phrases:
                    raise UnusableError("duplicate region", "a name that an earlier region has; left out")
                box, outside = inside(_box(item), size)
            except UnusableError as reason:
                yield item.mended(reason.kind, f"{reason.detail}; the region is left out of its study")
                continue
            if outside is not None:
                yield item.mended("box outside", outside)
            phrases[name] = phrase_row(name, None, [box], assertion=Assertion.PRESENT)
        report, standing = with_report("", list(phrases.values()))
        yield StudyRow(
            id=image.dicom,
            patient=image.patient,
            split=split,
            image=image.path,
            width=size[0],
            height=size[1],
            report=report,
            phrases=standing,
            view=row.values["ViewPosition"] or None,
            source=row.source,
        )

    def _graph(self, image: MimicImage) -> JsonItem:
        """The scene graph of an image. Raises ``UnusableError`` where there is none, or one of another image."""
        name = f"{image.dicom}_SceneGraph.json"
        path = path_within(self.graphs, name)
        if path is None or not path.is_file():
            raise UnusableError("missing scene graph", f"no {name} in the folder of scene graphs")
        graph = JsonItem(name, 1, read_object(path))
        if graph.text("image_id").casefold() != image.dicom:
            raise UnusableError("contradiction", f"{name} is the scene graph of another image")
        if not isinstance(graph.values.get("objects"), list):
            raise UnusableError("missing regions", f"no list 'objects' in {name}")
        return graph


def _box(item: JsonItem) -> Box:
    """The box in pixels of the original image. Raises ``UnusableError``."""
    x1, y1, x2, y2 = (item.number(f"original_{corner}") for corner in CORNERS)
    return box_from_xyxy(x1, y1, x2, y2)
