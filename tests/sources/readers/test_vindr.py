"""VinDr-CXR: the release of PhysioNet and the set of Kaggle, made here in their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layouts import DISGUISES, picture, read_all, table_bytes
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from knowmvg.core.errors import ManifestError, RecipeError
from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.reader import DatasetReader, Places
from knowmvg.sources.manifest import load_study
from knowmvg.sources.prepare.checks import RowChecks

TRAIN = ["image_id", "rad_id", "class_name", "x_min", "y_min", "x_max", "y_max"]
TEST = ["image_id", "class_name", "x_min", "y_min", "x_max", "y_max"]
EFFUSION = "Pleural effusion"


class Release:
    """A root with tables that the test fills."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.train: list[list[object]] = [TRAIN]
        self.test: list[list[object]] = [TEST]
        self.labels: list[list[object]] = [["image_id", "rad_id", EFFUSION, "COPD", "Other diseases", "No finding"]]
        (root / "annotations").mkdir()

    def write(self) -> None:
        folder = self.root / "annotations"
        (folder / "annotations_train.csv").write_bytes(table_bytes(self.train))
        (folder / "annotations_test.csv").write_bytes(table_bytes(self.test))
        (folder / "image_labels_train.csv").write_bytes(table_bytes(self.labels))

    def open(self, **options: str) -> DatasetReader:
        self.write()
        return open_reader("vindr-cxr", Places(self.root), options)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


def three_readers(release: Release) -> None:
    """Two readers agree on an effusion, the third sees nothing; the first also sees a nodule or mass."""
    release.train += [
        ["a1", "R1", EFFUSION, 10, 20, 30, 40],
        ["b2", "R4", "No finding", "", "", "", ""],
        ["a1", "R2", EFFUSION, 12, 22, 32, 42],
        ["a1", "R1", "Nodule/Mass", 50, 2, 60, 12],
        ["a1", "R3", "No finding", "", "", "", ""],
    ]
    release.test += [["t1", "Cardiomegaly", 5, 6, 50.5, 40], ["t2", "No finding", "", "", "", ""]]
    release.labels += [["a1", "R1", 1, 1, 0, 0], ["a1", "R2", 1, 1, 0, 0], ["a1", "R3", 0, 0, 1, 1]]


def test_readers_are_fused_by_default(release: Release) -> None:
    three_readers(release)
    reader = release.open()
    rows, faults = read_all(reader)
    assert not faults
    assert [row.id for row in rows] == ["a1", "b2", "t1", "t2"]
    assert [row.split for row in rows] == ["train", "train", "test", "test"]
    first = rows[0]
    assert (first.image, first.patient, first.width) == ("train/a1.dicom", "a1", 0)
    assert [(p.text, p.finding, p.boxes) for p in first.phrases] == [
        (EFFUSION, "pleural effusion", ((11.0, 21.0, 31.0, 41.0),)),
        ("Nodule/Mass", None, ((50.0, 2.0, 60.0, 12.0),)),
    ]
    assert all(first.report[slice(*p.span)] == p.text for p in first.phrases if p.span)
    assert all(p.span for p in first.phrases)
    assert rows[1].phrases == rows[3].phrases == ()
    assert reader.facts.version == "1.0.0 (PhysioNet)"
    assert reader.facts.credentialed
    assert len(reader.files) == 3


def test_agreement_drops_what_one_reader_saw(release: Release) -> None:
    three_readers(release)
    rows, _ = read_all(release.open(agreement="2"))
    assert [p.text for p in rows[0].phrases] == [EFFUSION]
    assert [p.text for p in rows[2].phrases] == ["Cardiomegaly"], "the test part is a consensus"


def test_readers_kept_apart(release: Release) -> None:
    three_readers(release)
    rows, faults = read_all(release.open(readers="keep"))
    assert not faults
    assert [row.id for row in rows] == ["a1-R1", "a1-R2", "a1-R3", "b2-R4", "t1", "t2"]
    assert {row.patient for row in rows[:3]} == {"a1"}
    assert [len(row.phrases) for row in rows] == [2, 1, 0, 0, 1, 0]
    assert {row.image for row in rows[:3]} == {"train/a1.dicom"}


def test_diseases_are_phrases_on_demand(release: Release) -> None:
    three_readers(release)
    rows, _ = read_all(release.open(diseases="phrases", agreement="2"))
    phrase = rows[0].phrases[-1]
    assert (phrase.text, phrase.finding) == ("COPD", "chronic obstructive pulmonary disease")
    assert phrase.boxes == ()
    assert "Other diseases" not in [p.text for p in rows[0].phrases], "one reader of three"


def test_an_image_with_labels_only_is_a_study(release: Release) -> None:
    release.labels += [["z9", "R1", 0, 0, 0, 1]]
    rows, faults = read_all(release.open())
    assert [(row.id, row.phrases) for row in rows] == [("z9", ())]
    assert not faults


def test_several_boxes_from_left_to_right(release: Release) -> None:
    release.test += [["t1", EFFUSION, 40, 0, 60, 9], ["t1", EFFUSION, 1, 0, 20, 9]]
    rows, _ = read_all(release.open())
    assert rows[0].phrases[0].boxes == ((1.0, 0.0, 20.0, 9.0), (40.0, 0.0, 60.0, 9.0))


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (["a1", "R1", EFFUSION, 10, 20, 10, 40], "box without area"),
        (["a1", "R1", EFFUSION, 30, 20, 10, 40], "box without area"),
        (["a1", "R1", EFFUSION, "nan", 20, 10, 40], "not finite"),
        (["a1", "R1", EFFUSION, "inf", 20, 10, 40], "not finite"),
        (["a1", "R1", EFFUSION, "left", 20, 10, 40], "wrong type"),
        (["a1", "R1", EFFUSION, "", "", "", ""], "empty field"),
        (["a1", "R1", "", 1, 2, 3, 4], "empty field"),
        (["", "R1", EFFUSION, 1, 2, 3, 4], "empty field"),
        (["a1", "", EFFUSION, 1, 2, 3, 4], "empty field"),
        (["../a1", "R1", EFFUSION, 1, 2, 3, 4], "odd identifier"),
        (["a1", "R1", EFFUSION, 1, 2], "wrong number of fields"),
    ],
)
def test_unusable_rows_are_named_and_left_out(release: Release, row: list[object], kind: str) -> None:
    release.train += [["ok", "R1", "No finding", "", "", "", ""], row]
    rows, faults = read_all(release.open())
    assert [(f.kind, f.file, f.row, f.kept) for f in faults] == [(kind, "annotations_train.csv", 3, False)]
    assert all(not study.phrases for study in rows)


def test_a_finding_with_one_unusable_box_is_left_out_as_a_whole(release: Release) -> None:
    release.test += [["t1", EFFUSION, 1, 1, 9, 9], ["t1", EFFUSION, 5, 5, 5, 9], ["t1", "Edema", 1, 1, 9, 9]]
    rows, faults = read_all(release.open())
    assert [p.text for p in rows[0].phrases] == ["Edema"]
    assert len(faults) == 1


def test_rows_that_are_mended(release: Release) -> None:
    release.train += [
        ["a1", "R1", EFFUSION, 10, 20, 30, 40],
        ["a1", "R1", EFFUSION, 10, 20, 30, 40],
        ["a1", "R1", "No finding", "", "", "", ""],
        ["a1", "R2", "No finding", 0, 0, 1, 1],
        ["a1", "R3", "Hedgehog", 0, 0, 1, 1],
    ]
    rows, faults = read_all(release.open())
    assert sorted((f.kind, f.row, f.kept) for f in faults) == [
        ("box of no finding", 5, True),
        ("contradiction", 4, True),
        ("duplicate row", 3, True),
        ("unknown category", 6, True),
    ]
    assert [(p.text, p.finding, len(p.boxes)) for p in rows[0].phrases] == [
        (EFFUSION, "pleural effusion", 1),
        ("Hedgehog", None, 1),
    ]


def test_an_image_in_both_parts(release: Release) -> None:
    release.train += [["a1", "R1", "No finding", "", "", "", ""]]
    release.test += [["a1", EFFUSION, 1, 2, 3, 4]]
    rows, faults = read_all(release.open())
    assert not rows
    (fault,) = faults
    assert (fault.kind, fault.file, fault.row, fault.kept) == ("image in two splits", "annotations_test.csv", 2, False)


@pytest.mark.parametrize("column", TRAIN)
def test_each_column_missing(release: Release, column: str) -> None:
    three_readers(release)
    place = TRAIN.index(column)
    release.train = [row[:place] + row[place + 1 :] for row in release.train]
    with pytest.raises(ManifestError, match=rf"annotations_train\.csv \(line 1\) without '{column}'"):
        release.open()


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_tables_in_every_disguise(release: Release, disguise: object) -> None:
    three_readers(release)
    plain = read_all(release.open())[0]
    path = release.root / "annotations" / "annotations_train.csv"
    path.write_bytes(disguise(path.read_bytes()))  # type: ignore[operator]
    assert read_all(open_reader("vindr-cxr", Places(release.root)))[0] == plain


def test_the_set_of_kaggle(tmp_path: Path) -> None:
    header = ["image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max"]
    rows = [["k1", "Cardiomegaly", 3, "R9", 691.0, 1375.0, 1653.0, 1831.0], ["k2", "No finding", 14, "R1"] + [""] * 4]
    (tmp_path / "train.csv").write_bytes(table_bytes([header, *rows]))
    reader = open_reader("vindr-cxr", Places(tmp_path))
    assert reader.facts.version.startswith("Kaggle")
    studies, faults = read_all(reader)
    assert not faults
    assert [(row.id, row.split, len(row.phrases)) for row in studies] == [("k1", "train", 1), ("k2", "train", 0)]


def test_one_part_only(release: Release) -> None:
    release.train += [["a1", "R1", "No finding", "", "", "", ""]]
    release.write()
    (release.root / "annotations" / "annotations_test.csv").unlink()
    reader = open_reader("vindr-cxr", Places(release.root))
    assert "train part only" in reader.facts.version
    assert len(read_all(reader)[0]) == 1


def test_no_tables(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="tables of VinDr-CXR"):
        open_reader("vindr-cxr", Places(tmp_path))


@pytest.mark.parametrize(
    "options", [{"readers": "vote"}, {"agreement": "4"}, {"agreement": "two"}, {"diseases": "yes"}, {"suffix": "../x"}]
)
def test_odd_options(release: Release, options: dict[str, str]) -> None:
    with pytest.raises(RecipeError):
        release.open(**options)


def write_dicom(path: Path, size: tuple[int, int]) -> None:
    """A file with the elements that the release keeps: no modality, no SOP class outside the meta information."""
    header = Dataset()
    header.PatientSex, header.PatientAge = "F", "050Y"
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.NumberOfFrames = None
    header.Columns, header.Rows = size
    header.PixelSpacing = [0.139, 0.139]
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.WindowCenter, header.WindowWidth, header.RescaleIntercept, header.RescaleSlope = 2048, 4096, 0, 1
    header.PixelData = np.linspace(0, 4095, size[0] * size[1]).astype(np.uint16).tobytes()
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(exist_ok=True)
    header.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("suffix", ["dicom", "png"])
def test_images_checked_and_loaded(release: Release, suffix: str) -> None:
    release.test += [["t1", EFFUSION, 50, 20, 70, 40]]
    if suffix == "png":
        picture(release.root / "test" / "t1.png", (64, 48))
    else:
        write_dicom(release.root / "test" / "t1.dicom", (64, 48))
    reader = release.open(suffix=suffix)
    (row,), _ = read_all(reader)
    row, faults = RowChecks(reader.image_root)(row)
    assert [fault.kind for fault in faults] == ["box outside"]
    assert (row.image, row.width, row.height) == (f"test/t1.{suffix}", 64, 48)
    assert row.phrases[0].boxes == ((50.0, 20.0, 64.0, 40.0),), "clipped to the image"
    assert load_study(reader.image_root, row).image.size == (64, 48)
