"""What compressed streams say of themselves."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.rle import _rle_decode_segment
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless
from synthetic_picture import picture

from knowmvg.sources.codestream import Picture, jpeg2000_picture, jpeg_picture, rle_length


def jpeg(mode="L", **options):
    stream = BytesIO()
    Image.fromarray(picture(8)).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"hello"}, {"dpi": (72, 72)}])
def test_jpeg(options):
    assert jpeg_picture(jpeg(**options)) == Picture(56, 40, 8, 1)
    assert jpeg_picture(jpeg("RGB", **options)) == Picture(56, 40, 8, 3)


@pytest.mark.parametrize(("syntax", "reader"), [(JPEG2000Lossless, jpeg2000_picture), (JPEGLSLossless, jpeg_picture)])
def test_other_streams(make_dicom, syntax, reader):
    stream = get_frame(dcmread(make_dicom(syntax=syntax)).PixelData, 0, number_of_frames=1)
    found = reader(stream)
    assert found[:2] == (56, 40)
    assert found.components == 1
    assert 12 <= found.bits <= 16


@pytest.mark.parametrize("cut", [0, 2, 3, 10, 100])
def test_streams_that_end_before_their_scan_say_nothing(cut):
    assert jpeg_picture(jpeg()[:cut]) is None
    assert jpeg2000_picture(b"\xff\x4f\xff\x51"[:cut]) is None


def test_bytes_between_segments_are_noticed():
    content = jpeg()
    second = 4 + int.from_bytes(content[4:6], "big")  # where the segment after the first begins
    assert content[second] == 0xFF
    assert jpeg_picture(content[:second] + b"\0" + content[second:]) is None


@given(st.binary(max_size=200))
def test_rle_length_is_that_of_the_decoder(segment):
    limit = 10**6
    counted = rle_length(segment, 0, len(segment), limit)
    decoded = len(_rle_decode_segment(segment))
    assert counted >= decoded  # the decoder stops where the last run is cut short
    assert counted - decoded <= 128


def test_counting_a_run_length_bomb_stops_at_the_limit():
    bomb = bytes([129, 0]) * 100_000
    assert 1000 < rle_length(bomb, 0, len(bomb), 1000) <= 1000 + 128


def test_lossless_jpeg_without_its_tables_says_nothing():
    frame = b"\xff\xc3\x00\x0b\x08\x00\x28\x00\x38\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00"
    table = b"\xff\xc4" + (2 + 17 + 1).to_bytes(2, "big") + b"\0" + bytes([1] + [0] * 15) + b"\0"
    assert jpeg_picture(b"\xff\xd8" + frame + table + scan, with_tables=True) == Picture(56, 40, 8, 1)
    assert jpeg_picture(b"\xff\xd8" + frame + scan, with_tables=True) is None
    assert jpeg_picture(b"\xff\xd8" + frame + scan) == Picture(56, 40, 8, 1)
    broken = table.replace(b"\0\1", b"\0\7", 1)  # counts more values than there are
    assert broken != table
    assert jpeg_picture(b"\xff\xd8" + frame + broken + scan, with_tables=True) is None
