"""The grey-scale pipeline against highdicom, which implements the same parts of the standard on its own."""

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing
from synthetic_picture import picture

from knowmvg.sources.dicom import read_dicom
from knowmvg.sources.display import window

PIXELS = [(8, False), (10, False), (12, False), (12, True), (15, False), (16, False), (16, True)]
WINDOWS = ["LINEAR", "LINEAR_EXACT", "SIGMOID", None]


def oracle(path):
    return highdicom.imread(path).get_frame(1, apply_voi_transform=None, apply_presentation_lut=True, dtype=np.float64)


@pytest.mark.parametrize(("bits", "signed"), PIXELS)
@pytest.mark.parametrize("function", WINDOWS)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_windows_agree_with_highdicom(make_dicom, bits, signed, function, photometric):
    centre = (0 if signed else 2 ** (bits - 1)) - 100.0 + 2 ** (bits - 4)
    more = {} if function is None else {"VOILUTFunction": function}
    path = make_dicom(
        picture(bits, signed),
        bits=bits,
        PhotometricInterpretation=photometric,
        RescaleSlope=1,
        RescaleIntercept=-100,
        RescaleType="US",
        WindowCenter=[centre, 1],
        WindowWidth=[2.0 ** (bits - 1), 2],
        **more,
    )
    image = read_dicom(path)
    np.testing.assert_allclose(image.pixels, oracle(path), atol=2e-6)
    assert image.warnings == ()
    assert np.ptp(image.pixels) > 0.6


@pytest.mark.parametrize("first", [0, 700])
@pytest.mark.parametrize("bits", [8, 16])  # highdicom reads no other depth
def test_voi_lut_agrees_with_highdicom(make_dicom, lut, first, bits):
    table = np.rint(np.linspace(0, 1, 3000) ** 2 * (2**bits - 1))
    path = make_dicom(WindowCenter=100, WindowWidth=50, **lut("VOILUTSequence", first, table, bits))
    np.testing.assert_allclose(read_dicom(path).pixels, oracle(path), atol=2e-6)


@pytest.mark.parametrize("slope", [0.5, 2])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_rescale_then_window_agrees_with_pydicom(make_dicom, slope, function):
    """highdicom folds the slope into the window and so errs by up to 5e-4 where it is not 1; pydicom does not."""
    path = make_dicom(
        RescaleSlope=slope,
        RescaleIntercept=-100,
        WindowCenter=slope * 2000,
        WindowWidth=slope * 2500,
        VOILUTFunction=function,
    )
    header = dcmread(path)
    ends = np.array([0, 4095]) * slope - 100
    expected = (apply_windowing(apply_modality_lut(header.pixel_array, header), header) - ends[0]) / (ends[1] - ends[0])
    np.testing.assert_allclose(read_dicom(path).pixels, expected, atol=2e-6)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_voi_lut_of_other_depths_agrees_with_pydicom(make_dicom, lut, bits):
    table = np.rint(np.linspace(0, 1, 3000) ** 2 * (2**bits - 1))
    path = make_dicom(**lut("VOILUTSequence", 500, table, bits))
    header = dcmread(path)
    expected = apply_voi(header.pixel_array, header) / (2**bits - 1)
    np.testing.assert_allclose(read_dicom(path).pixels, expected, atol=2e-6)


def test_modality_lut_then_window_agrees_with_highdicom(make_dicom, lut):
    table = np.rint(np.linspace(65535, 0, 4096))
    path = make_dicom(WindowCenter=30000, WindowWidth=50000, **lut("ModalityLUTSequence", 0, table, 16))
    image = read_dicom(path)
    np.testing.assert_allclose(image.pixels, oracle(path), atol=2e-6)
    assert image.pixels[0, 0] > image.pixels[-1, -1]


@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_presentation_shape_decides_and_a_contradiction_is_told(make_dicom, shape, photometric):
    path = make_dicom(
        PresentationLUTShape=shape, PhotometricInterpretation=photometric, WindowCenter=2048, WindowWidth=4096
    )
    image = read_dicom(path)
    np.testing.assert_allclose(image.pixels, oracle(path), atol=2e-6)
    contradicts = (shape == "INVERSE") != (photometric == "MONOCHROME1")
    assert any("contradicts" in text for text in image.warnings) == contradicts


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_window_agrees_with_pydicom(make_dicom, function):
    header = dcmread(make_dicom(WindowCenter=1800.5, WindowWidth=901, VOILUTFunction=function))
    values = np.arange(4096.0)
    expected = apply_windowing(values, header) / 4095
    np.testing.assert_allclose(window(values, 1800.5, 901, function), expected, atol=1e-12)


def test_window_of_width_one_is_a_step():
    assert window(np.array([9.0, 10.0, 11.0]), 10.5, 1).tolist() == [0.0, 0.0, 1.0]


def test_a_file_without_window_is_shown_between_percentiles_of_its_pixels(make_dicom):
    stored = picture(12).astype(np.int64) // 4 + 1000
    stored[0, :5] = 4095  # a label: a few pixels must not set the scale
    image = read_dicom(make_dicom(stored.astype(np.uint16)))
    low, high = np.percentile(stored, [0.5, 99.5], method="inverted_cdf")
    np.testing.assert_allclose(image.pixels, np.clip((stored - low) / (high - low), 0, 1), atol=1e-6)
    assert "no window" in image.warnings[0]


def test_eight_bits_without_window_keep_their_grey_values(make_dicom):
    image = read_dicom(make_dicom(picture(8), bits=8))
    np.testing.assert_allclose(image.pixels, picture(8) / 255, atol=1e-7)
    assert "8-bit" in image.warnings[0]


@pytest.mark.parametrize(("centre", "width"), [(60000, 100), (-5000, 10), (2048, 0), (2048, -3)])
def test_a_useless_window_is_replaced_and_told(make_dicom, centre, width):
    image = read_dicom(make_dicom(WindowCenter=centre, WindowWidth=width))
    assert image.pixels.min() == 0
    assert image.pixels.max() == 1
    assert any("window" in text for text in image.warnings)


def test_padding_is_dark_and_does_not_count(make_dicom):
    stored = picture(12) // 2
    stored[:, :10] = 4095
    image = read_dicom(make_dicom(stored, PixelPaddingValue=4095))
    assert (image.pixels[:, :10] == 0).all()
    low, high = np.percentile(stored[:, 10:], [0.5, 99.5], method="inverted_cdf")
    np.testing.assert_allclose(
        image.pixels[:, 10:], np.clip((stored[:, 10:].astype(float) - low) / (high - low), 0, 1), atol=1e-6
    )


def test_a_file_of_nothing_but_padding_still_reads(make_dicom):
    image = read_dicom(make_dicom(np.full((40, 40), 7, np.uint16), PixelPaddingValue=7))
    assert any("blank" in text for text in image.warnings)


def test_overlay_bits_above_the_stored_ones_are_left_out(make_dicom):
    clean, dirty = picture(12), picture(12) | np.uint16(0x8000)
    window_of = {"WindowCenter": 2048, "WindowWidth": 4096}
    first = read_dicom(make_dicom(clean, **window_of))
    np.testing.assert_array_equal(first.pixels, read_dicom(make_dicom(dirty, name="b.dcm", **window_of)).pixels)


def test_short_signed_pixels_keep_their_sign(make_dicom):
    signed = picture(12, signed=True)
    without = (signed.view(np.uint16) & np.uint16(0x0FFF)).view(np.int16)  # sign bit not carried above bit 11
    window_of = {"WindowCenter": 0, "WindowWidth": 4096}
    first = read_dicom(make_dicom(signed, **window_of))
    np.testing.assert_array_equal(first.pixels, read_dicom(make_dicom(without, name="b.dcm", **window_of)).pixels)


def test_a_blank_image_is_told(make_dicom):
    image = read_dicom(make_dicom(np.full((40, 40), 7, np.uint16), WindowCenter=7, WindowWidth=10))
    assert any("blank" in text for text in image.warnings)
