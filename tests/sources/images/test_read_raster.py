"""PNG and JPEG files of every kind that people have."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from synthetic_picture import picture

from knowmvg.core.errors import ImageError
from knowmvg.sources import limits
from knowmvg.sources.image import read_radiograph

GREY = picture(8)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def test_eight_bit_grey_keeps_its_values(tmp_path):
    image = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(GREY)))
    np.testing.assert_allclose(image.pixels, GREY / 255, atol=1e-7)
    assert image.pixels.dtype == np.float32
    assert image.size == (56, 40)
    assert image.warnings == ()


def test_content_counts_and_not_the_extension(tmp_path):
    path = saved(tmp_path / "a.dcm", Image.fromarray(GREY), format="PNG")
    np.testing.assert_allclose(read_radiograph(path).pixels, GREY / 255, atol=1e-7)


def test_jpeg_is_read(tmp_path):
    image = read_radiograph(saved(tmp_path / "a.jpg", Image.fromarray(GREY), quality=95))
    np.testing.assert_allclose(image.pixels, GREY / 255, atol=0.03)
    assert image.warnings == ()


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bit_files_are_scaled_by_the_depth_that_they_use(tmp_path, bits):
    stored = picture(bits).astype(np.uint16)
    image = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(stored)))
    peak = stored.max()
    depth = next(b for b in (8, 10, 12, 14, 16) if peak < 2**b)
    np.testing.assert_allclose(image.pixels, stored / (2**depth - 1), atol=1e-6)
    assert bool(image.warnings) == (depth < 16)


@pytest.mark.parametrize("mode", ["RGB", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_grey_pictures_in_other_modes_give_the_same_pixels(tmp_path, mode):
    picture_of_mode = Image.fromarray(GREY).convert("L" if mode == "P" else mode)
    if mode == "P":
        picture_of_mode = Image.fromarray(GREY).convert("P")
    suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    image = read_radiograph(saved(tmp_path / f"a.{suffix}", picture_of_mode, **options))
    np.testing.assert_allclose(image.pixels, GREY / 255, atol=0.02 if suffix == "jpg" else 1e-6)
    assert image.warnings == ()


def test_one_bit_pictures_are_read(tmp_path):
    image = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(GREY > 100)))
    assert set(np.unique(image.pixels)) == {0, 1}


def test_colour_becomes_luminance_and_is_told(tmp_path):
    colour = np.zeros((40, 40, 3), np.uint8)
    colour[:, :20, 0] = colour[:, 20:, 2] = 255
    image = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(colour)))
    np.testing.assert_allclose(image.pixels[0, [0, 39]], [0.299, 0.114], atol=0.003)
    assert "colour image" in image.warnings[0]


def test_a_small_coloured_mark_is_no_colour_image(tmp_path):
    colour = np.repeat(GREY[..., None], 3, axis=2)
    colour[:2, :3] = (255, 0, 0)
    assert read_radiograph(saved(tmp_path / "a.png", Image.fromarray(colour))).warnings == ()


def test_transparent_pixels_lie_on_black_and_are_told(tmp_path):
    layered = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    layered[:10, :, 3] = 0
    image = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(layered, "RGBA")))
    assert (image.pixels[:10] == 0).all()
    np.testing.assert_allclose(image.pixels[10:], GREY[10:] / 255, atol=1e-6)
    assert "transparent" in image.warnings[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_transparent_colour_of_the_file_is_handled(tmp_path, dtype):
    grey = picture(8) if dtype == np.uint8 else picture(16)
    image = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(grey), transparency=int(grey[0, 0])))
    assert image.size == (56, 40)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("turn", "expected"), [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1))]
)
def test_exif_orientation_is_applied(tmp_path, dtype, turn, expected):
    grey = picture(8) if dtype == np.uint8 else picture(16)
    exif = Image.Exif()
    exif[0x0112] = turn
    image = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(grey), exif=exif))
    np.testing.assert_allclose(image.pixels, expected(grey / np.iinfo(dtype).max), atol=1e-6)
    assert bool(image.warnings) == (turn != 1)
    assert image.size == image.pixels.shape[::-1]


def test_blank_pictures_are_told(tmp_path):
    image = read_radiograph(saved(tmp_path / "a.png", Image.new("L", (64, 64), 9)))
    assert "blank" in image.warnings[0]


@pytest.mark.parametrize(
    ("kind", "got"), [("GIF", "a GIF"), ("TIFF", "a TIFF"), ("BMP", "a BMP"), ("WEBP", "a WebP"), ("PDF", "a PDF")]
)
def test_other_formats_are_refused_by_name(tmp_path, kind, got):
    path = saved(tmp_path / "a.png", Image.fromarray(GREY), format=kind)
    with pytest.raises(ImageError, match=got):
        read_radiograph(path)


def test_animated_png_is_refused(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    path = saved(tmp_path / "a.png", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="2 pictures"):
        read_radiograph(path)


def _png_that_claims(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = b"IDAT" + zlib.compress(bytes(1000))
    parts = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (chunk, packed, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("side", [10_001, 60_000, 2**31 - 1])
def test_bombs_are_refused_before_they_are_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_that_claims(side, side))
    with pytest.raises(ImageError, match=r"pixels"):
        read_radiograph(path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_truncated_pictures_are_refused(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ImageError, match="damaged or cut short"):
        read_radiograph(path)


def test_icons_are_refused(tmp_path):
    with pytest.raises(ImageError, match="15 x 40 pixels"):
        read_radiograph(saved(tmp_path / "a.png", Image.new("L", (15, 40))))


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "an empty file"),
        (b"hello", "unknown content"),
        (bytes(500), "unknown content"),
        (b"<html>", "markup"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff", "damaged"),
        (bytes(128) + b"DICM", "no modality"),
        (b"\x08\0\x05\0" + bytes(500), "no modality"),
    ],
)
def test_files_that_are_no_image_are_refused(tmp_path, content, got):
    path = tmp_path / "scan.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=got):
        read_radiograph(path)


def test_missing_files_folders_and_odd_paths_are_refused(tmp_path):
    for path, got in ((tmp_path / "none.png", "no such file"), (tmp_path, "a folder"), (tmp_path / "a\0b", "a.x00b")):
        with pytest.raises(ImageError, match=got):
            read_radiograph(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(path := tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        read_radiograph(path)


def test_files_over_the_size_limit_are_refused_unread(tmp_path):
    path = tmp_path / "huge.dcm"
    with path.open("wb") as stream:
        stream.truncate(limits.MAX_FILE_BYTES + 1)  # a sparse file
    with pytest.raises(ImageError, match="at most 256 MiB"):
        read_radiograph(path)
