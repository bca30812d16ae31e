"""The compressed picture inside a DICOM file: how large it says it is, and whether it ends.

Decoders believe the stream, not the DICOM header, so a small file could ask for gigabytes; and several fill the rest of
a picture that was cut short with grey and say nothing.
"""

from __future__ import annotations

from pathlib import Path
from struct import unpack_from
from typing import TYPE_CHECKING, NamedTuple

from pydicom.encaps import get_frame
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, RLELossless

from knowmvg.sources.limits import check_size, refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

EXPECTED = "a complete compressed picture"
_SCAN, _TABLES = 0xDA, 0xC4
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_OTHERS = frozenset(range(0xE0, 0xF0)) | {0xCC, 0xDB, 0xDD, 0xF8, 0xFE}  # application data, tables, restarts, comments
_FOR_GDCM = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_DAMAGE = "one that was cut short or damaged"
_TODO = "Copy or export the file again."


class Picture(NamedTuple):
    """What a stream says of its picture: sizes in pixels, bits a value, values a pixel."""

    width: int
    height: int
    bits: int
    components: int


def check_codestream(path: Path, header: Dataset) -> None:
    """Raise ``ImageError`` when the picture in ``header``'s pixel data is cut short or is another than the header's.

    JPEG, JPEG-LS and JPEG 2000 state a size, a depth and components; of an RLE stream, which states nothing, the
    decoded length is counted. gdcm, the one decoder of lossless JPEG, ends the process on a stream whose segments are
    out of order, contradict the header or name an odd colour space: what it is given must be in order and grey.
    """
    stream = get_frame(header.PixelData, 0, number_of_frames=1)
    if header.file_meta.TransferSyntaxUID == RLELossless:
        return _check_rle(path, stream, int(header.Columns) * int(header.Rows))
    for_gdcm = header.file_meta.TransferSyntaxUID in _FOR_GDCM
    is_jpeg = for_gdcm or stream[:2] == b"\xff\xd8"
    picture = jpeg_picture(stream, with_tables=for_gdcm) if is_jpeg else jpeg2000_picture(stream)
    if picture is None:
        raise refusal(path, EXPECTED, _DAMAGE, _TODO)
    if for_gdcm and picture.components != 1:
        raise refusal(path, EXPECTED, "a colour image", "Give the grey radiograph itself.")
    check_size(path, picture.width, picture.height)
    if picture[:2] != (header.Columns, header.Rows):
        got = f"{picture.width} x {picture.height} pixels under a header of {header.Columns} x {header.Rows}"
        raise refusal(path, EXPECTED, got, _TODO)
    if picture.components != header.SamplesPerPixel or picture.bits > header.BitsAllocated:
        got = f"{picture.components} x {picture.bits} bits a pixel, which its header contradicts"
        raise refusal(path, EXPECTED, got, _TODO)
    if b"\xff\xd9" not in stream[-64:]:  # all three families close with this marker; some writers pad behind it
        raise refusal(path, EXPECTED, _DAMAGE, _TODO)


def _check_rle(path: Path, stream: bytes, pixels: int) -> None:
    """Every segment holds one byte a pixel, and perhaps a byte of padding (PS3.5 annex G)."""
    count, *starts = unpack_from("<16L", stream)
    starts = starts[: min(count, 15)]
    for start, end in zip(starts, [*starts[1:], len(stream)], strict=True):
        length = rle_length(stream, start, end, pixels)
        if not pixels <= length <= pixels + 1:
            raise refusal(path, EXPECTED, _DAMAGE, _TODO)


def rle_length(stream: bytes, start: int, end: int, limit: int) -> int:
    """How many bytes the PackBits segment ``stream[start:end]`` unpacks to; counting ends soon after ``limit``."""
    at, length = start, 0
    while at < end - 1 and length <= limit:
        head = stream[at]
        if head < 128:
            length += head + 1
            at += head + 2
        else:
            length += 257 - head if head > 128 else 0
            at += 2 if head > 128 else 1
    return length


def jpeg_picture(stream: bytes, *, with_tables: bool = False) -> Picture | None:
    """The picture of a JPEG or JPEG-LS stream, ``None`` unless its segments are in order up to the first scan.

    In order means: known markers with nothing between them, one frame, and, if ``with_tables``, every Huffman table
    that the scan names.
    """
    at, picture, tables = 2, None, set[int]()
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], unpack_from(">H", stream, at + 2)[0]
        body = stream[at + 4 : at + 2 + length]
        if marker == _SCAN:
            return picture if not with_tables or _scan_tables(body) <= tables else None
        if marker == _TABLES:
            tables |= _defined_tables(body)
        elif marker in _FRAMES and picture is None and len(body) >= 6:
            bits, height, width, components = unpack_from(">BHHB", body)
            picture = Picture(width, height, bits, components)
        elif marker not in _OTHERS:
            return None
        at += 2 + length
    return None


def _scan_tables(body: bytes) -> set[int]:
    """The DC tables that a scan header names, one a component; -1, which no one defines, where it is malformed."""
    count = body[0] if body else 0
    if not 1 <= count <= 4 or len(body) != 4 + 2 * count:
        return {-1}
    return {body[2 + 2 * component] >> 4 for component in range(count)}


def _defined_tables(body: bytes) -> set[int]:
    """The DC tables of a Huffman segment: each is a byte of class and number, 16 counts, and as many values."""
    at, found = 0, set()
    while at + 17 <= len(body):
        found |= {body[at]} if body[at] < 16 else set()
        at += 17 + sum(body[at + 1 : at + 17])
    return found if at == len(body) else set()


def jpeg2000_picture(stream: bytes) -> Picture | None:
    """The picture of a JPEG 2000 codestream, bare or boxed, from its SIZ segment; ``None`` without one."""
    at = stream[:4096].find(b"\xff\x4f\xff\x51")
    if at < 0 or at + 43 > len(stream):
        return None
    right, bottom, left, top = unpack_from(">IIII", stream, at + 8)
    components, depth = unpack_from(">HB", stream, at + 40)
    return Picture(right - left, bottom - top, (depth & 0x7F) + 1, components)
