"""The size from the header is the size of the picture that is read, and no pixel is decoded for it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import RLELossless
from synthetic_picture import picture

from knowmvg.core.errors import ImageError
from knowmvg.sources.image import image_shape, image_size, read_radiograph

SIZE = (56, 40)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("turn", [None, 1, 3, 6, 8])
def test_a_raster_has_the_size_of_its_upright_picture(tmp_path, suffix, turn):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    if turn:
        exif[0x0112] = turn
    Image.fromarray(picture(8)).save(path, exif=exif)
    assert image_size(path) == read_radiograph(path).size == (SIZE[::-1] if turn in (6, 8) else SIZE)


def test_sixteen_bits_and_other_modes_have_a_size_too(tmp_path):
    Image.fromarray(picture(16)).save(tmp_path / "deep.png")
    Image.fromarray(picture(8)).convert("RGBA").save(tmp_path / "clear.png")
    assert image_size(tmp_path / "deep.png") == image_size(tmp_path / "clear.png") == SIZE


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_a_dicom_file_has_the_size_of_its_header(make_dicom, syntax):
    path = make_dicom(syntax=syntax)
    assert image_size(path) == read_radiograph(path).size == SIZE


def test_the_header_tells_the_pixel_aspect_too(make_dicom, tmp_path):
    oblong = make_dicom(PixelSpacing=[0.3, 0.2])
    assert image_shape(oblong) == (SIZE, read_radiograph(oblong).pixel_aspect) == (SIZE, pytest.approx(1.5))
    Image.fromarray(picture(8)).save(tmp_path / "a.png")
    assert image_shape(tmp_path / "a.png") == (SIZE, 1.0)


@pytest.mark.parametrize("kind", ["png", "dcm"])
def test_pixels_are_not_looked_at(tmp_path, make_dicom, kind):
    if kind == "png":
        path = tmp_path / "a.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 300), dtype=np.uint8)).save(path)
    else:
        path = make_dicom(picture(12, size=(400, 300)))
    expected = image_size(path)
    data = path.read_bytes()
    path.write_bytes(data[:2000] + bytes(len(data) - 2000) if kind == "dcm" else data[:2000])
    assert image_size(path) == expected == (300, 400)


@pytest.mark.parametrize("content", [b"", b"GIF89a" + bytes(40), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0 no"])
def test_what_is_no_radiograph_is_refused(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageError):
        image_size(path)
    with pytest.raises(ImageError):
        image_size(tmp_path / "none.png")


def test_the_limits_hold_for_headers(tmp_path, make_dicom):
    Image.fromarray(picture(8, size=(8, 8))).save(tmp_path / "icon.png")
    with pytest.raises(ImageError, match="16 x 16"):
        image_size(tmp_path / "icon.png")
    with pytest.raises(ImageError, match="CT"):
        image_size(make_dicom(Modality="CT"))
    with pytest.raises(ImageError, match="frames"):
        image_size(make_dicom(NumberOfFrames=2, name="two.dcm"))
