"""What ``knowmvg prepare`` shows: tables that fit a terminal of 80 columns, and messages that lead on."""

from __future__ import annotations

import pytest
from layouts import picture, table_bytes, write_json
from test_chest_imagenome import LUNGS
from test_chest_imagenome import Release as ImaGenome
from test_ms_cxr import Release as MsCxr

from knowmvg.interfaces.cli.main import main
from knowmvg.sources.datasets import SOURCES, open_reader
from knowmvg.sources.datasets.reader import Places

BOX = ["image", "phrase", "x1", "y1", "x2", "y2"]


@pytest.fixture
def release(tmp_path):
    made = MsCxr(tmp_path)
    made.write()
    return made


def prepared(tmp_path, capsys, *command):
    """The exit code, standard output, and standard error with its lines joined."""
    code = main(["prepare", *map(str, command), "--out", str(tmp_path / "out")])
    shown = capsys.readouterr()
    return code, shown.out, " ".join(shown.err.split())


def test_three_splits_fit_a_terminal_and_every_finding_is_named(release, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = prepared(tmp_path, capsys, "ms-cxr", "--root", release.root, "--images", release.mimic.jpg)
    assert code == 0
    tables = out[: out.index("wrote")]
    assert all(len(line) <= 80 for line in tables.splitlines())
    for word in ("pleural effusion", "lung opacity", "train", "val", "test", "all boxes", "median area"):
        assert word in tables
    assert "| pleural effusion | 1 / 1 | 0 / 0 | 0 / 0 |" in (tmp_path / "out" / "summary.md").read_text()


def test_names_of_regions_are_counted_each(tmp_path, capsys):
    release = ImaGenome(tmp_path / "anatomy")
    release.image(1, *LUNGS)
    release.write()
    command = ("chest-imagenome", "--root", release.root, "--images", release.mimic.jpg)
    code, out, _ = prepared(tmp_path, capsys, *command)
    assert code == 0
    assert "right upper lung zone" in out
    assert "left lung" in out


def test_the_words_of_reports_are_in_no_table(tmp_path, capsys):
    picture(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_bytes(table_bytes([BOX, ["a.png", "a peculiar shape", 1, 2, 30, 40]]))
    code, out, err = prepared(tmp_path, capsys, "csv", "--root", tmp_path)
    assert code == 0
    assert "(not in the lexicon)" in out
    assert "peculiar" not in out + err + (tmp_path / "out" / "summary.md").read_text()


def test_all_data_sets_and_settings_are_listed(capsys):
    assert main(["prepare", "--sources"]) == 0
    out = capsys.readouterr().out
    for name, source in SOURCES.items():
        assert name in out
        assert all(f"--set {key}=" in out for key in source.options)


def test_a_release_that_lies_there_is_named_when_another_was_asked_for(release, tmp_path, capsys):
    command = ("ms-cxr", "--root", release.root, "--images", release.mimic.jpg, "--set", "version=0.1")
    code, _, err = prepared(tmp_path, capsys, *command)
    assert code == 5
    assert "MS_CXR_Local_Alignment_v1.1.0.csv in" in err
    assert "Leave out the settings" in err


def test_boxes_of_another_folder_are_asked_for_by_their_option(tmp_path, capsys):
    from test_mimic_questions_and_classes import Copies

    copies = Copies(tmp_path)
    copies.image(1)
    copies.box(1, "Edema", "edema", 1, 2, 30, 20)
    copies.write()
    command = ("medical-diff-vqa", "--root", tmp_path / "vqa", "--images", copies.mimic.jpg)
    code, _, err = prepared(tmp_path, capsys, *command)
    assert code == 5
    assert "with --annotations" in err


def test_a_file_in_the_place_of_the_folder(release, tmp_path, capsys):
    table = release.root / "MS_CXR_Local_Alignment_v1.1.0.csv"
    code, _, err = prepared(tmp_path, capsys, "ms-cxr", "--root", table)
    assert code == 5
    assert "got a file at" in err


def test_a_missing_image_leads_to_the_folder_of_images(tmp_path, capsys):
    (tmp_path / "boxes.csv").write_bytes(table_bytes([BOX, ["a.png", "nodule", 1, 2, 30, 40]]))
    code, _, err = prepared(tmp_path, capsys, "csv", "--root", tmp_path)
    assert code == 5
    assert "Check --images" in err


@pytest.mark.parametrize("patient", [True, False])
def test_patients_are_warned_of_only_where_there_are_none(tmp_path, patient):
    rows = [[*BOX, *(["patient"] * patient)], ["a.png", "nodule", 1, 2, 30, 40, *(["p1"] * patient)]]
    (tmp_path / "boxes.csv").write_bytes(table_bytes(rows))
    image = {"id": 1, "file_name": "a.png", "width": 64, "height": 48} | ({"patient": 7} if patient else {})
    coco = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "nodule"}]}
    file = write_json(tmp_path / "instances.json", coco)
    notes = [
        open_reader(name, Places(tmp_path, annotations=path)).facts.notes
        for name, path in (("csv", tmp_path / "boxes.csv"), ("coco", file))
    ]
    assert ["patient" in " ".join(note) for note in notes] == [not patient, not patient]


def test_published_tests_are_kept_when_a_set_without_val_is_divided(release, tmp_path, capsys):
    release.write([row for row in release.rows if row[-1] != "val"])
    code, out, _ = prepared(tmp_path, capsys, "ms-cxr", "--root", release.root, "--images", release.mimic.jpg)
    assert code == 0
    assert "--ratio 9:1:0 --keep test" in out
