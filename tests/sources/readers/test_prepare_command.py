from __future__ import annotations

import json

import pytest
from layouts import MimicFolders, picture, table_bytes

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.interfaces.cli.labelled import LabelledStudies
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.datasets import SOURCES, Source, open_reader
from knowmvg.sources.datasets.chestxray8 import COLUMNS, TABLE
from knowmvg.sources.datasets.ms_cxr_files import COLUMNS as MS_CXR_COLUMNS
from knowmvg.sources.datasets.reader import Places


@pytest.fixture
def download(tmp_path):
    root = tmp_path / "nih"
    root.mkdir()
    rows = [["00000001_000.png", "Mass", 100, 100, 50, 50], ["00000002_000.png", "Nodule", 10, 10, 50, 50]]
    (root / TABLE).write_bytes(table_bytes([COLUMNS, *rows]))
    picture(root / "images" / "00000001_000.png", (1024, 1024))
    return root


def test_prepare_writes_shows_and_says_what_to_do_next(download, tmp_path, capsys):
    out = tmp_path / "prepared"
    command = ["prepare", "chestx-ray8", "--root", str(download), "--out", str(out)]
    assert main(command) == ManifestError.exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "row 3 of BBox_List_2017.csv" in " ".join(shown.err.split())
    assert not out.exists()
    assert main([*command, "--skip-faulty"]) == 0
    shown = capsys.readouterr()
    assert "missing image" in shown.out
    assert "mass" in shown.out
    assert "not a medical device" in shown.out
    assert json.loads((out / "dataset.json").read_text())["faults"] == {"missing image": {"mended": 0, "left_out": 1}}


def test_settings_of_the_data_set_stand_in_its_notes(tmp_path, capsys):
    folders = MimicFolders(tmp_path)
    image = folders.image(1)
    folders.splits([(image, "validate")])
    row = ["Edema", "mild edema", image["path"], 1, 2, 30, 20, 64, 48, image["dicom_id"]]
    (tmp_path / "MS_CXR_Local_Alignment_v1.0.0.csv").write_bytes(table_bytes([MS_CXR_COLUMNS, row]))
    out = tmp_path / "prepared"
    command = ["prepare", "ms-cxr", "--root", str(tmp_path), "--images", str(folders.jpg), "--out", str(out)]
    assert main([*command, "--set", "split=mimic", "--set", "version=0.1"]) == 0
    shown = capsys.readouterr()
    notes = json.loads((out / "dataset.json").read_text())
    assert notes["made_with"] == {"split": "mimic", "version": "0.1"}
    assert notes["credentialed"]
    assert (out / ".gitignore").read_text() == "*\n"
    assert "Credentialed data" in shown.err
    assert "mild" not in shown.out + shown.err
    (study,) = LabelledStudies(out, "val")
    assert study.report == "mild edema."
    assert study.image.size == (64, 48)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no-such-set"], RecipeError.exit_code),
        (["chestx-ray8", "--set", "version=2"], RecipeError.exit_code),
        (["chestx-ray8", "--set", "version"], 2),
        (["chestx-ray8", "--images", "nowhere"], ManifestError.exit_code),
        (["ms-cxr"], ManifestError.exit_code),
    ],
)
def test_a_wrong_call_ends_with_its_exit_code_and_writes_nothing(download, tmp_path, arguments, code, capsys):
    out = tmp_path / "prepared"
    assert main(["prepare", *arguments, "--root", str(download), "--out", str(out)]) == code
    assert "Traceback" not in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("name", SOURCES)
def test_every_data_set_of_the_registry_can_be_asked_for(name, tmp_path):
    assert isinstance(SOURCES[name], Source)
    with pytest.raises(ManifestError):
        open_reader(name, Places(tmp_path))


def test_a_set_without_splits_is_divided_by_patients(tmp_path, capsys):
    root, out = tmp_path / "nih", tmp_path / "prepared"
    names = [f"{patient:08d}_{number:03d}.png" for patient in range(1, 11) for number in range(2)]
    for name in names:
        picture(root / "images" / name, (1024, 1024))
    (root / TABLE).write_bytes(table_bytes([COLUMNS, *([name, "Mass", 100, 100, 50, 50] for name in names)]))
    command = ["prepare", "chestx-ray8", "--root", str(root), "--out", str(out)]
    assert main([*command, "--ratio", "7:1:2", "--seed", "4"]) == 0
    patients = {split: {s.patient for s in LabelledStudies(out, split)} for split in ("train", "val", "test")}
    assert [len(found) for found in patients.values()] == [7, 1, 2]
    assert len(set.union(*patients.values())) == 10
    assert json.loads((out / "dataset.json").read_text())["made_with"] == {"splits": "7:1:2 of patients, seed 4"}
    assert len((out / "splits" / "train.txt").read_text().split()) == 7
    assert not (out / "splits" / "official").exists()
    capsys.readouterr()
    assert main([*command, "--ratio", "7:x:2", "--overwrite"]) != 0
    assert "expected" in capsys.readouterr().err
