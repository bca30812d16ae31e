"""Random damage to a file gives a radiograph or an ``ImageError``, and nothing else."""

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from synthetic_picture import picture

from knowmvg.core.errors import ImageError
from knowmvg.core.records import Radiograph
from knowmvg.sources.image import read_radiograph


def damaged(content, generator):
    """``content`` cut at random, with some bits flipped (most in the first kilobyte, where headers are), or both."""
    broken = bytearray(content)
    kind = generator.integers(3)
    if kind != 0:
        reach = len(broken) if generator.random() < 0.4 else min(len(broken), 1200)
        for place in generator.integers(0, reach, size=generator.integers(1, 12)):
            broken[place] ^= 1 << int(generator.integers(8))
    if kind != 1:
        del broken[int(generator.integers(len(broken))) :]
    return bytes(broken)


def read_damaged(path, trials, seed):
    content = path.read_bytes()
    generator = np.random.default_rng(seed)
    refused = 0
    for _ in range(trials):
        path.write_bytes(damaged(content, generator))
        try:
            assert isinstance(read_radiograph(path), Radiograph)
        except ImageError:
            refused += 1
    return refused


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_damaged_dicom(make_dicom, syntax):
    packed = None if syntax == ExplicitVRLittleEndian else syntax
    path = make_dicom(syntax=packed, WindowCenter=2048, WindowWidth=4096, RescaleSlope=1, RescaleIntercept=0)
    assert read_damaged(path, 250, seed=7) > 100


def test_damaged_lossless_jpeg(tmp_path):
    """Its decoder, gdcm, aborts the process on some streams: what passes the checks before it must be safe."""
    source = get_testdata_file("JPGLosslessP14SV1_1s_1f_8b.dcm", download=False)
    if source is None:
        pytest.skip("needs the package pydicom-data")
    header = dcmread(source)
    header.Modality = "CR"
    header.save_as(path := tmp_path / "a.dcm")
    assert read_radiograph(path).size == (1024, 768)
    assert read_damaged(path, 100, seed=9) > 30


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_damaged_raster(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(8)).save(path, exif=exif)
    assert read_damaged(path, 400, seed=8) > 50
