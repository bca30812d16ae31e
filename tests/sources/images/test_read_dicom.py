"""Which DICOM files are read, which are refused, and what is said of them."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file, get_testdata_files
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from synthetic_picture import picture

from knowmvg.core.errors import ImageError
from knowmvg.core.records import Radiograph
from knowmvg.sources import limits
from knowmvg.sources.image import read_radiograph

FULL = {"WindowCenter": 2048, "WindowWidth": 4096}


def shared_dicoms():
    root = Path(os.environ.get("KNOWMVG_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
    return sorted((root / "dicom").glob("*.dcm"))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_lossless_compression_changes_nothing(make_dicom, syntax):
    plain = read_radiograph(make_dicom(**FULL))
    packed = read_radiograph(make_dicom(name="packed.dcm", syntax=syntax, **FULL))
    np.testing.assert_array_equal(plain.pixels, packed.pixels)


def test_jpeg_baseline_is_read(make_dicom):
    stored = picture(8)
    path = make_dicom(stored, bits=8)
    stream = BytesIO()
    Image.fromarray(stored).save(stream, "JPEG", quality=95)
    header = dcmread(path)
    header.PixelData = encapsulate([stream.getvalue()])
    header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    header.save_as(path, enforce_file_format=True)
    np.testing.assert_allclose(read_radiograph(path).pixels, stored / 255, atol=0.03)


def test_size_is_width_by_height(make_dicom):
    image = read_radiograph(make_dicom(**FULL))
    assert image.size == (56, 40)
    assert image.pixels.dtype == np.float32


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({}, 1.0),
        ({"PixelSpacing": [0.3, 0.2]}, 1.5),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, 0.5),
        ({"PixelAspectRatio": [6, 5]}, 1.2),
        ({"ImagerPixelSpacing": [0, 0], "PixelAspectRatio": [6, 5]}, 1.2),
        ({"PixelSpacing": [0.143, 0.143]}, 1.0),
    ],
)
def test_pixel_aspect_is_height_over_width(make_dicom, elements, aspect):
    assert read_radiograph(make_dicom(**FULL, **elements)).pixel_aspect == pytest.approx(aspect)


def test_absurd_pixel_aspect_is_left_out_and_told(make_dicom):
    image = read_radiograph(make_dicom(PixelSpacing=[100, 0.1], **FULL))
    assert image.pixel_aspect == 1
    assert "PixelSpacing" in image.warnings[0]


@pytest.mark.parametrize(
    ("elements", "word"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned-in"),
        ({"BodyPartExamined": "TIBIA"}, "body part"),
        ({"ViewPosition": "LL"}, "lateral"),
        ({"ViewPosition": "LLD"}, "decubitus"),
        ({"PatientOrientation": ["A", "F"]}, "lateral"),
        ({"PatientOrientation": ["R", "F"]}, "mirrored"),
        ({"PatientOrientation": ["L", "H"]}, "upside down"),
        ({"Modality": "OT"}, "secondary capture"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "raw"),
    ],
)
def test_what_a_reader_should_know_is_told(make_dicom, elements, word):
    (text,) = read_radiograph(make_dicom(**FULL, **elements)).warnings
    assert word in text


@pytest.mark.parametrize(
    "elements",
    [
        {"BurnedInAnnotation": "NO"},
        {"BodyPartExamined": "CHEST", "ViewPosition": "PA"},
        {"PatientOrientation": ["L", "F"]},
        {"Modality": "DX"},
        {"Modality": "RG"},
    ],
)
def test_an_ordinary_file_has_no_warning(make_dicom, elements):
    assert read_radiograph(make_dicom(**FULL, **elements)).warnings == ()


@pytest.mark.parametrize(
    ("elements", "got"),
    [
        ({"Modality": "CT"}, "a CT"),
        ({"Modality": "MR"}, "an MR image"),
        ({"Modality": "US"}, "an ultrasound"),
        ({"Modality": "MG"}, "a mammogram"),
        ({"Modality": "SR"}, "a structured report"),
        ({"Modality": "ZZ"}, "another modality"),
        ({"Modality": None, "SOPClassUID": "1.2.3"}, "no modality"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"PixelData": None}, "no pixel data"),
        ({"Rows": None}, "no Rows"),
        ({"Rows": 4}, "56 x 4 pixels"),
        ({"Rows": 60000, "Columns": 60000}, "60000 x 60000"),
        ({"Rows": 400}, "damaged"),
        ({"BitsAllocated": 32}, "32 a pixel"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not"),
    ],
)
def test_what_is_no_single_radiograph_is_refused(make_dicom, elements, got):
    path = make_dicom(**elements)
    with pytest.raises(ImageError) as caught:
        read_radiograph(path)
    assert got in caught.value.got
    assert "study.dcm" in caught.value.got
    assert "Secret" not in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_colour_photographs_are_refused_and_grey_captures_read(make_dicom):
    grey = np.repeat(picture(8)[..., None], 3, axis=2)
    rgb = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "Modality": "OT", "bits": 8}
    image = read_radiograph(make_dicom(grey, **rgb))
    np.testing.assert_allclose(image.pixels, picture(8) / 255, atol=1e-7)
    red = grey.copy()
    red[..., 1:] = 0
    with pytest.raises(ImageError, match="a colour image"):
        read_radiograph(make_dicom(red, name="red.dcm", **rgb))


def test_a_decoder_is_not_asked_for_more_than_the_limit(make_dicom, monkeypatch):
    monkeypatch.setattr(limits, "MAX_PIXELS", 1000)
    monkeypatch.setattr("knowmvg.sources.dicom.pixel_array", lambda header: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="56 x 40"):
        read_radiograph(make_dicom())


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_picture_larger_than_its_header_is_refused(make_dicom, syntax):
    header = dcmread(make_dicom(syntax=syntax))
    header.Rows = 30
    header.save_as(path := Path(header.filename).with_name("lie.dcm"))
    with pytest.raises(ImageError, match="56 x 40 pixels under a header of 56 x 30"):
        read_radiograph(path)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_compressed_picture_that_was_cut_short_is_refused(make_dicom, syntax):
    path = make_dicom(picture(12, size=(200, 200)), syntax=syntax)
    header = dcmread(path)
    length = len(header.PixelData)
    header.PixelData = header.PixelData[: length // 2]
    header["PixelData"].is_undefined_length = True
    path.write_bytes(path.read_bytes()[: -length // 2])
    with pytest.raises(ImageError):
        read_radiograph(path)


def test_a_deflated_bomb_is_refused_before_it_grows(make_dicom, monkeypatch):
    path = make_dicom(np.zeros((400, 400), np.uint16), **FULL)
    header = dcmread(path)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header.save_as(path, enforce_file_format=True)
    assert read_radiograph(path).size == (400, 400)
    monkeypatch.setattr("knowmvg.sources.dicom.MAX_FILE_BYTES", 100_000)
    with pytest.raises(ImageError, match="grows over"):
        read_radiograph(path)


def test_a_file_without_preamble_is_read(make_dicom):
    path = make_dicom(**FULL)
    expected = read_radiograph(path)
    header = dcmread(path)
    bare = Dataset()
    bare.update({element.tag: element for element in header})
    bare.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_radiograph(path).pixels, expected.pixels)


def test_broken_numbers_in_the_header_are_left_out(make_dicom):
    path = make_dicom(WindowCenter=2048, WindowWidth=4096)
    content = path.read_bytes()
    assert b"2048" in content
    path.write_bytes(content.replace(b"2048", b"x?!y"))
    assert any("no window" in text for text in read_radiograph(path).warnings)


def test_the_real_chest_radiograph_has_bright_bone_and_dark_air():
    path = get_testdata_file("RG1_UNCR.dcm", download=False)
    if path is None:
        pytest.skip("needs the package pydicom-data")
    image = read_radiograph(Path(path))
    assert image.size == (1841, 1955)
    assert image.warnings == ()
    spine, lung = image.pixels[500:900, 880:960], image.pixels[700:900, 430:600]
    outside = image.pixels[60:150, :40]  # air above the shoulder
    assert spine.mean() > lung.mean() + 0.15
    assert lung.mean() > outside.mean() + 0.15


def _all_files():
    found = {Path(name) for name in get_testdata_files()} | set(shared_dicoms())
    return sorted(path for path in found if path.is_file())


def test_every_dicom_at_hand_is_read_or_refused_with_a_clear_error():
    read, refused, texts = 0, 0, []
    for path in _all_files():
        try:
            image = read_radiograph(path)
        except ImageError as error:
            refused += 1
            texts.append(error.todo)
        else:
            assert isinstance(image, Radiograph)
            assert 0 <= image.pixels.min() <= image.pixels.max() <= 1
            read += 1
    assert read > 5
    assert refused > 50
    assert all(texts)


def test_shared_radiographs_are_read():
    if not shared_dicoms():
        pytest.skip("needs the shared data: set KNOWMVG_SHARED_DATA")
    images = {path.name: read_radiograph(path) for path in shared_dicoms()}
    assert all(image.pixels.max() > 0.9 for image in images.values())
    tibia = next(image for name, image in images.items() if "tibia" in name)
    assert any("body part" in text for text in tibia.warnings)
