from __future__ import annotations

import json

import pytest
from layouts import picture, read_all

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.reader import Places

LINES = "ROCO_00001\t Made up: a lung.\nROCO_00002\t  A   made up heart\u2019s shadow\nROCO_00003\t\n"
LINK = "ROCO_00002\twget -r ftp://x/pub/pmc/00/aa/PMC42.tar.gz -O PMC42.tar.gz\tfig-1.jpg\n"


@pytest.fixture
def roco(tmp_path):
    folder = tmp_path / "roco-dataset" / "data" / "train" / "radiology"
    picture(folder / "images" / "ROCO_00001.jpg")
    picture(folder / "images" / "PMC42_fig-1.jpg")
    (folder / "captions.txt").write_text(LINES, encoding="utf-8")
    (folder / "dlinks.txt").write_text(LINK, encoding="utf-8")
    return tmp_path / "roco-dataset"


def test_captions_of_roco_with_images_of_either_name(roco):
    rows, faults = read_all(open_reader("roco", Places(roco)))
    assert [(row.id, row.split, row.report, row.phrases) for row in rows] == [
        ("ROCO_00001", "train", "Made up: a lung.", ()),
        ("ROCO_00002", "train", "A made up heart\u2019s shadow", ()),
    ]
    assert [row.image for row in rows] == [
        "train/radiology/images/ROCO_00001.jpg",
        "train/radiology/images/PMC42_fig-1.jpg",
    ]
    assert [(fault.kind, fault.row, fault.kept) for fault in faults] == [("no caption", 3, False)]


def test_captions_of_imageclef(tmp_path):
    for folder, name in (("train", "a_1"), ("valid", "b_1")):
        picture(tmp_path / folder / f"{name}.jpg")
        table = tmp_path / f"caption_prediction_{folder}.csv"
        table.write_text(f"ID\tcaption\n{name}\tmade up, {folder}\n", encoding="utf-8")
    rows, faults = read_all(open_reader("imageclef-caption", Places(tmp_path)))
    assert faults == []
    assert [(row.id, row.split, row.image, row.report) for row in rows] == [
        ("a_1", "train", "train/a_1.jpg", "made up, train"),
        ("b_1", "val", "valid/b_1.jpg", "made up, valid"),
    ]


def test_a_path_in_a_name_leads_nowhere(roco):
    folder = roco / "data" / "train" / "radiology"
    (folder / "captions.txt").write_text("../../x\tc\nROCO_9\tc\n", encoding="utf-8")
    (folder / "dlinks.txt").write_text("ROCO_9\tx/PMC1.tar.gz\t../../secret.jpg\n", encoding="utf-8")
    rows, faults = read_all(open_reader("roco", Places(roco)))
    assert [row.image for row in rows] == ["train/radiology/images/ROCO_9.jpg"]
    assert len(faults) == 1


def test_captions_are_prepared(roco, tmp_path, capsys):
    out = tmp_path / "prepared"
    command = ["prepare", "roco", "--root", str(roco), "--out", str(out)]
    assert main(command) != 0  # a line without a caption
    assert main([*command, "--skip-faulty"]) == 0
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["width"], row["height"], row["phrases"]) for row in rows] == [(64, 48, [])] * 2
    assert json.loads((out / "dataset.json").read_text())["credentialed"] is False


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(ManifestError, match=r"captions\.txt"):
        open_reader("roco", Places(tmp_path))
    with pytest.raises(RecipeError):
        open_reader("roco", Places(tmp_path), {"kind": "dental"})
