"""Sets in COCO form."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from layouts import read_all, write_json

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.core.records import Assertion, Side
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.reader import Fault, Places
from knowmvg.sources.manifest import StudyRow


def data_set() -> dict[str, Any]:
    """Two images; the first with two boxes of one phrase, one of a category, and a phrase without boxes."""
    return {
        "info": {"year": 2026},
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [40, 5, 10, 20], "phrase": "small left effusion"},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": [1.5, 2, 3, 4], "iscrowd": 0},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [30, 5, 10, 20], "phrase": "small left effusion"},
            {"id": 4, "image_id": 7, "bbox": [], "caption": "no pneumothorax"},
        ],
        "images": [
            {"id": 7, "file_name": "a.png", "width": 64, "height": 48, "patient": 12, "report": "Small left effusion."},
            {"id": "7", "file_name": "deep/b.png"},
        ],
        "categories": [{"id": 1, "name": "Pleural Effusion"}, {"id": 2, "name": "shadow"}],
    }


def read(root: Path, data: Any, name: str = "set.json", **options: str) -> tuple[list[StudyRow], list[Fault]]:
    write_json(root / name, data)
    return read_all(open_reader("coco", Places(root, annotations=root / name), options))


def test_images_phrases_and_categories(tmp_path: Path) -> None:
    (first, second), faults = read(tmp_path, data_set())
    assert not faults
    assert (first.id, first.patient, first.split, first.image) == ("a", "12", "", "a.png")
    assert (first.width, first.height, first.report) == (64, 48, "Small left effusion.")
    assert [(p.text, p.finding, p.boxes) for p in first.phrases] == [
        ("small left effusion", "pleural effusion", ((30.0, 5.0, 40.0, 25.0), (40.0, 5.0, 50.0, 25.0))),
        ("shadow", None, ((1.5, 2.0, 4.5, 6.0),)),
        ("no pneumothorax", "pneumothorax", ()),
    ]
    assert first.phrases[0].side is Side.LEFT
    assert first.phrases[0].span == (0, 19)
    assert first.phrases[2].assertion is Assertion.ABSENT
    assert (second.id, second.patient, second.width, second.phrases) == ("deep/b", "deep/b", 0, ())


@pytest.mark.parametrize(
    ("name", "split"), [("instances_val2017.json", "val"), ("training.json", ""), ("test.json", "test"), ("x.json", "")]
)
def test_split_by_the_name_of_the_file(tmp_path: Path, name: str, split: str) -> None:
    assert {row.split for row in read(tmp_path, data_set(), name)[0]} == {split}


def test_split_of_the_image_and_of_the_option(tmp_path: Path) -> None:
    data = data_set()
    data["images"][0]["split"] = "validate"
    rows, _ = read(tmp_path, data, split="test")
    assert [row.split for row in rows] == ["val", "test"]


def test_a_folder_of_files(tmp_path: Path) -> None:
    write_json(tmp_path / "annotations" / "train.json", data_set())
    other = data_set()
    other["images"] = [{"id": 7, "file_name": "c.png"}]
    write_json(tmp_path / "annotations" / "val.json", other)
    write_json(tmp_path / "annotations" / "notes.json", {"note": 1})
    rows, faults = read_all(open_reader("coco", Places(tmp_path)))
    assert not faults
    assert [(row.id, row.split) for row in rows] == [("a", "train"), ("deep/b", "train"), ("c", "val")]


def test_without_a_report_the_phrases_stand_for_it(tmp_path: Path) -> None:
    data = data_set()
    del data["images"][0]["report"]
    (row, _), _ = read(tmp_path, data)
    assert row.report == "small left effusion. shadow. no pneumothorax."
    assert [row.report[slice(*p.span)] for p in row.phrases if p.span] == [p.text for p in row.phrases]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"bbox": [1, 2, 0, 4]}, "box without area"),
        ({"bbox": [1, 2, 3, -4]}, "box without area"),
        ({"bbox": [1, 2, 3]}, "wrong type"),
        ({"bbox": "1 2 3 4"}, "wrong type"),
        ({"bbox": [1, 2, 3, "wide"]}, "wrong type"),
        ({"bbox": [100, 2, 3, 4]}, "box outside"),
    ],
)
def test_one_unusable_box_takes_its_phrase(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    data = data_set()
    data["annotations"][2] |= changes
    (row, _), faults = read(tmp_path, data)
    assert [(f.kind, f.file, f.row, f.kept) for f in faults] == [(kind, "set.json", 3, False)]
    assert [p.text for p in row.phrases] == ["shadow", "no pneumothorax"]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"image_id": 8}, "unknown image"),
        ({"image_id": None}, "wrong type"),
        ({"image_id": [7]}, "wrong type"),
        ({"category_id": 9}, "no phrase"),
        ({"phrase": 5}, "wrong type"),
    ],
)
def test_annotations_that_cannot_be_used(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    data = data_set()
    data["annotations"][1] |= changes
    (row, _), faults = read(tmp_path, data)
    assert [(f.kind, f.row, f.kept) for f in faults] == [(kind, 2, False)]
    assert len(row.phrases) == 2


def test_annotations_that_are_mended(tmp_path: Path) -> None:
    data = data_set()
    data["annotations"] += [
        data["annotations"][1] | {"id": 9},
        data["annotations"][1] | {"iscrowd": 1},
        {"image_id": 7, "category_id": 2, "bbox": [60, 40, 10, 10]},
    ]
    (row, _), faults = read(tmp_path, data)
    assert [(f.kind, f.row, f.kept) for f in faults] == [
        ("crowd region", 6, True),
        ("duplicate row", 5, True),
        ("box outside", 7, True),
    ]
    assert row.phrases[1].boxes == ((1.5, 2.0, 4.5, 6.0), (60.0, 40.0, 64.0, 48.0))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"id": "7"}, "duplicate image"),
        ({"id": 1.5}, "wrong type"),
        ({"file_name": ""}, "empty field"),
        ({"width": 0}, "wrong image size"),
        ({"width": "wide"}, "wrong type"),
        ({"height": None}, "empty field"),
        ({"split": "holdout"}, "unknown split"),
        ({"report": 3}, "wrong type"),
    ],
)
def test_images_that_cannot_be_used(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    data = data_set()
    data["images"] = [data["images"][1], data["images"][0] | changes]
    data["annotations"] = []
    rows, faults = read(tmp_path, data)
    assert [row.id for row in rows] == ["deep/b"]
    assert [(f.kind, f.row, f.kept) for f in faults] == [(kind, 2, False)]


def test_elements_that_are_no_objects(tmp_path: Path) -> None:
    data = data_set()
    data["categories"].append("three")
    data["images"].append(None)
    data["annotations"].append([1])
    rows, faults = read(tmp_path, data)
    assert len(rows) == 2
    assert [(f.kind, f.row) for f in faults] == [("wrong type", 3), ("wrong type", 3), ("wrong type", 5)]


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
@pytest.mark.parametrize("value", [None, {}, "left out"])
def test_each_list_missing(tmp_path: Path, part: str, value: Any) -> None:
    data = data_set() | {part: value}
    if value == "left out":
        del data[part]
    with pytest.raises(ManifestError, match=rf"'{part}'.*set\.json"):
        read(tmp_path, data)


def test_empty_lists(tmp_path: Path) -> None:
    assert read(tmp_path, {"images": [], "annotations": [], "categories": []}) == ([], [])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings(tmp_path: Path, encoding: str, packed: bool) -> None:
    data = data_set()
    data["annotations"][1]["phrase"] = "ombre à droite"
    plain = read(tmp_path, data)
    content = json.dumps(data, ensure_ascii=False, indent=1).replace("\n", "\r\n").encode(encoding)
    (tmp_path / "set.json").write_bytes(gzip.compress(content) if packed else content)
    assert read_all(open_reader("coco", Places(tmp_path, annotations=tmp_path / "set.json"))) == plain


def test_credentialed_unless_the_user_says_no(tmp_path: Path) -> None:
    write_json(tmp_path / "set.json", data_set())
    assert open_reader("coco", Places(tmp_path)).facts.credentialed
    facts = open_reader("coco", Places(tmp_path), {"credentialed": "no", "name": "ours"}).facts
    assert (facts.credentialed, facts.name) == (False, "ours")
    with pytest.raises(RecipeError):
        open_reader("coco", Places(tmp_path), {"credentialed": "maybe"})


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="COCO"):
        open_reader("coco", Places(tmp_path))
    with pytest.raises(ManifestError, match="COCO"):
        open_reader("coco", Places(tmp_path, annotations=tmp_path / "gone.json"))
