from __future__ import annotations

import pytest
from layouts import MimicFolders, dicom_name

from knowmvg.core.errors import ManifestError
from knowmvg.sources.datasets.mimic_cxr import MimicCopy, MimicEntry, mimic_image, patient_id, study_id
from knowmvg.sources.datasets.reader import Fault, Places
from knowmvg.sources.datasets.tables import UnusableError


@pytest.fixture
def folders(tmp_path):
    return MimicFolders(tmp_path)


def test_an_image_is_where_the_release_puts_it(folders):
    entry = folders.image(1)
    image = mimic_image(entry["subject_id"], "s" + entry["study_id"], entry["dicom_id"].upper())
    assert image.path == entry["path"]
    assert (folders.jpg / image.path).is_file()


@pytest.mark.parametrize("value", ["", "1234567", "123456789", "../../10", "p1000000x", "\u0661" * 8])
def test_identifiers_of_another_form_are_refused(value):
    for read in (patient_id, study_id):
        with pytest.raises(UnusableError) as caught:
            read(value)
        assert caught.value.kind == "wrong identifier"
    with pytest.raises(UnusableError):
        mimic_image("10000000", "50000000", value)


@pytest.mark.parametrize("given", ["the folder", "its files"])
def test_the_folder_may_be_named_by_itself_or_by_its_files(folders, given):
    images, reports = folders.jpg, folders.reports
    if given == "its files":
        images, reports = images / "files", reports / "files"
    copy = MimicCopy.at(Places(folders.jpg, images=images, reports=reports))
    assert (copy.images, copy.reports) == (folders.jpg, folders.reports)


def test_a_folder_without_files_is_named_with_its_option(folders, tmp_path):
    with pytest.raises(ManifestError, match="--images"):
        MimicCopy.at(Places(tmp_path))
    with pytest.raises(ManifestError, match="--reports"):
        MimicCopy.at(Places(folders.jpg, reports=tmp_path))


def test_views_and_splits_come_from_the_tables_of_mimic_cxr_jpg(folders):
    entries = [folders.image(number) for number in (1, 2, 3)]
    copy = MimicCopy(folders.jpg)
    assert copy.views({entries[0]["dicom_id"]}) == {}
    with pytest.raises(ManifestError, match="split"):
        copy.official({"x"})
    folders.metadata(entries, view="ap")
    folders.splits(zip(entries, ("train", "validate", "test"), strict=True))
    wanted = {entry["dicom_id"] for entry in entries[:2]}
    assert copy.views(wanted) == dict.fromkeys(wanted, "AP")
    assert copy.official(wanted) == {entries[0]["dicom_id"]: "train", entries[1]["dicom_id"]: "val"}
    listed = list(copy.metadata())
    assert all(isinstance(entry, MimicEntry) and (entry.width, entry.height) == (64, 48) for entry in listed)


def test_a_bad_line_of_the_metadata_is_a_fault_with_its_line(folders):
    good, bad = folders.image(1), folders.image(2) | {"subject_id": "no number"}
    folders.metadata([good, bad])
    entry, fault = MimicCopy(folders.jpg).metadata()
    assert isinstance(entry, MimicEntry)
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.row, fault.kept) == ("wrong identifier", 3, False)


def test_a_report_is_read_and_a_missing_or_binary_one_is_told(folders):
    entry = folders.image(1)
    copy = MimicCopy(folders.jpg, folders.reports)
    patient, study = "p" + entry["subject_id"], "s" + entry["study_id"]
    with pytest.raises(UnusableError) as caught:
        copy.report(patient, study)
    assert caught.value.kind == "missing report"
    path = folders.report(entry, "FINDINGS: Clear.")
    assert copy.report(patient, study) == "FINDINGS: Clear."
    path.write_bytes(b"\0\0\0")
    with pytest.raises(UnusableError) as caught:
        copy.report(patient, study)
    assert caught.value.kind == "unreadable report"


def test_a_report_outside_the_folder_is_refused(folders, tmp_path):
    entry = folders.image(1)
    path = folders.report(entry, "inside")
    outside = tmp_path / "outside.txt"
    outside.write_text("outside")
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(UnusableError) as caught:
        MimicCopy(folders.jpg, folders.reports).report("p" + entry["subject_id"], "s" + entry["study_id"])
    assert caught.value.kind == "link out of the folder"


def test_dicom_names_of_the_tests_have_the_published_form():
    assert mimic_image("10000000", "50000000", dicom_name(7)).dicom == dicom_name(7)
