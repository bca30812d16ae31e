"""Chest ImaGenome: splits and scene graphs, made here in the layout of the release."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from layouts import MimicFolders, dicom_name, read_all, table_bytes, write_json

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.core.records import Assertion, Side
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.reader import DatasetReader, Places

HEADER = ["", "subject_id", "study_id", "dicom_id", "path", "ViewPosition"]


def region(name: str, x1: float, y1: float, x2: float, y2: float, **changes: Any) -> dict[str, Any]:
    """An object of a scene graph; the frame of 224 pixels is not what is read, so it holds something else."""
    whole = {
        "object_id": f"id_{name}",
        "bbox_name": name,
        "name": name.title(),
        "synsets": ["C0"],
        "x1": 1,
        "y1": 2,
        "x2": 3,
        "y2": 4,
        "width": 2,
        "height": 2,
        "original_x1": x1,
        "original_y1": y1,
        "original_x2": x2,
        "original_y2": y2,
        "original_width": x2 - x1 if isinstance(x2, (int, float)) else 0,
        "original_height": y2 - y1 if isinstance(y2, (int, float)) else 0,
    }
    return {key: value for key, value in (whole | changes).items() if value != "left out"}


class Release:
    def __init__(self, root: Path) -> None:
        self.root, self.mimic = root, MimicFolders(root)
        self.splits: dict[str, list[list[object]]] = {name: [HEADER] for name in ("train", "valid", "test")}
        self.avoid: list[list[object]] = [["subject_id", "study_id", "dicom_id"]]
        self.graphs = root / "silver_dataset" / "scene_graph"

    def image(self, number: int, *regions: Any, split: str = "train", **changes: Any) -> dict[str, str]:
        entry = self.mimic.image(number, (64, 48))
        path = entry["path"].replace(".jpg", ".dcm")
        rows = self.splits[split]
        rows.append([len(rows), entry["subject_id"], entry["study_id"], entry["dicom_id"], path, "AP"])
        graph = {"image_id": entry["dicom_id"], "viewpoint": "AP", "objects": list(regions), "attributes": []}
        write_json(self.graphs / f"{entry['dicom_id']}_SceneGraph.json", graph | changes)
        return entry

    def write(self) -> None:
        folder = self.root / "silver_dataset" / "splits"
        folder.mkdir(parents=True, exist_ok=True)
        self.graphs.mkdir(parents=True, exist_ok=True)
        for name, rows in self.splits.items():
            (folder / f"{name}.csv").write_bytes(table_bytes(rows))
        (folder / "images_to_avoid.csv").write_bytes(table_bytes(self.avoid))

    def open(self, **options: str) -> DatasetReader:
        self.write()
        return open_reader("chest-imagenome", Places(self.root, images=self.mimic.jpg), options)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


LUNGS = (region("right upper lung zone", 2, 3, 30, 40), region("left lung", 34, 3, 60.5, 40))


def test_regions_become_phrases(release: Release) -> None:
    entry = release.image(1, *LUNGS, region("trachea", 28, 0, 36, 10), split="valid")
    reader = release.open()
    (row,), faults = read_all(reader)
    assert not faults
    assert (row.id, row.patient, row.split, row.view) == (entry["dicom_id"], "p10000001", "val", "AP")
    assert (row.image, row.width, row.height) == (entry["path"], 64, 48)
    assert [(p.text, p.finding, p.side, p.zone, p.boxes) for p in row.phrases] == [
        ("right upper lung zone", None, Side.RIGHT, "upper", ((2.0, 3.0, 30.0, 40.0),)),
        ("left lung", None, Side.LEFT, None, ((34.0, 3.0, 60.5, 40.0),)),
        ("trachea", None, None, None, ((28.0, 0.0, 36.0, 10.0),)),
    ]
    assert {p.assertion for p in row.phrases} == {Assertion.PRESENT}
    assert [row.report[slice(*p.span)] for p in row.phrases if p.span] == [p.text for p in row.phrases]
    assert row.source == "valid.csv:2"
    assert reader.facts.credentialed


def test_order_is_that_of_the_splits(release: Release) -> None:
    for number, split in enumerate(("test", "train", "valid", "train")):
        release.image(number, *LUNGS, split=split)
    rows, _ = read_all(release.open())
    assert [row.split for row in rows] == ["train", "train", "val", "test"]


def test_images_of_the_gold_patients_are_left_out_unless_asked_for(release: Release) -> None:
    entry = release.image(1, *LUNGS)
    release.avoid.append([entry["subject_id"], entry["study_id"], entry["dicom_id"]])
    release.image(2, *LUNGS)
    assert [row.id for row in read_all(release.open())[0]] == [dicom_name(2)]
    assert len(read_all(release.open(gold="keep"))[0]) == 2


def test_a_folder_in_a_folder(release: Release) -> None:
    release.graphs = release.root / "silver_dataset" / "scene_graph" / "scene_graph"
    release.image(1, *LUNGS)
    assert len(read_all(release.open())[0]) == 1


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"original_x2": 2}, "box without area"),
        ({"original_x2": 1}, "box without area"),
        ({"original_x1": 70, "original_x2": 90}, "box outside"),
        ({"original_x1": "left out"}, "empty field"),
        ({"original_x1": "left"}, "wrong type"),
        ({"original_x1": None}, "empty field"),
        ({"original_x1": True}, "wrong type"),
        ({"bbox_name": ""}, "empty field"),
        ({"bbox_name": "left lung"}, "duplicate region"),
    ],
)
def test_a_region_that_cannot_be_used_is_left_out_of_its_study(
    release: Release, changes: dict[str, Any], kind: str
) -> None:
    release.image(1, LUNGS[1], LUNGS[0] | {key: v for key, v in changes.items() if v != "left out"})
    if "left out" in changes.values():
        release.image(1, LUNGS[1], {key: value for key, value in LUNGS[0].items() if key not in changes})
        del release.splits["train"][-1]
    (row,), faults = read_all(release.open())
    assert [p.text for p in row.phrases] == ["left lung"]
    assert [(f.kind, f.file, f.row, f.kept) for f in faults] == [(kind, f"{dicom_name(1)}_SceneGraph.json", 2, True)]


def test_a_region_partly_outside_is_clipped(release: Release) -> None:
    release.image(1, region("left lung", -4, 3, 70, 40))
    (row,), faults = read_all(release.open())
    assert row.phrases[0].boxes == ((0.0, 3.0, 64.0, 40.0),)
    assert [(f.kind, f.kept) for f in faults] == [("box outside", True)]


def test_images_that_cannot_be_used(release: Release) -> None:
    (release.mimic.jpg / release.image(1, *LUNGS)["path"]).unlink()
    release.image(2, *LUNGS)
    (release.graphs / f"{dicom_name(2)}_SceneGraph.json").unlink()
    release.image(3, *LUNGS, image_id=dicom_name(4))
    release.image(5, objects="none")
    release.splits["train"] += [
        [9, "1", "50000000", dicom_name(6), "", "AP"],
        [9, "10000001", "50000001", "../x", "", ""],
    ]
    rows, faults = read_all(release.open())
    assert not rows
    assert [f.kind for f in faults] == [
        "missing image",
        "missing scene graph",
        "contradiction",
        "missing regions",
        "wrong identifier",
        "wrong identifier",
    ]
    assert [f.row for f in faults] == [2, 3, 4, 5, 6, 7]
    assert not any(f.kept for f in faults)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"image_id": NaN}', b'{"image_id": "x"', b"\xff\xfe", b"[" * 100_000]
)
def test_a_broken_scene_graph(release: Release, content: bytes) -> None:
    release.image(1, *LUNGS)
    reader = release.open()
    (release.graphs / f"{dicom_name(1)}_SceneGraph.json").write_bytes(content)
    with pytest.raises(ManifestError, match=r"_SceneGraph\.json"):
        read_all(reader)


def test_packed_scene_graphs_and_tables(release: Release) -> None:
    release.image(1, *LUNGS)
    plain = read_all(release.open())
    for path in (release.graphs / f"{dicom_name(1)}_SceneGraph.json", release.graphs.parent / "splits" / "train.csv"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    reader = open_reader("chest-imagenome", Places(release.root, images=release.mimic.jpg))
    assert read_all(reader) == plain


@pytest.mark.parametrize("column", ["subject_id", "study_id", "dicom_id", "ViewPosition"])
def test_each_column_missing(release: Release, column: str) -> None:
    release.splits["valid"][0] = ["other" if name == column else name for name in HEADER]
    with pytest.raises(ManifestError, match=rf"valid\.csv \(line 1\) without '{column}'"):
        release.open()


def test_files_that_are_missing(release: Release) -> None:
    places = Places(release.root, images=release.mimic.jpg)
    with pytest.raises(ManifestError, match="silver_dataset/splits"):
        open_reader("chest-imagenome", places)
    release.write()
    (release.root / "silver_dataset" / "splits" / "images_to_avoid.csv").unlink()
    with pytest.raises(ManifestError, match="gold=keep"):
        open_reader("chest-imagenome", places)
    release.graphs.rmdir()
    with pytest.raises(ManifestError, match=r"scene_graph\.zip"):
        open_reader("chest-imagenome", places)
    with pytest.raises(RecipeError):
        release.open(gold="perhaps")
