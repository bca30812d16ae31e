"""The compressed picture inside a DICOM file: how large it says it is, and whether it ends.

Decoders believe the stream, not the DICOM header, so a small file could ask for gigabytes; and several fill the rest of
a picture that was cut short with grey and say nothing.
"""

from __future__ import annotations

from pathlib import Path
from struct import unpack_from
from typing import TYPE_CHECKING

from pydicom.encaps import get_frame
from pydicom.uid import RLELossless

from knowmvg.sources.limits import check_size, refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

EXPECTED = "a complete compressed picture"
_NO_SIZE = (0xC4, 0xC8, 0xCC)  # DHT, JPG and DAC share the range of the start-of-frame markers
_DAMAGE = "one that was cut short or damaged"
_TODO = "Copy or export the file again."


def check_codestream(path: Path, header: Dataset) -> None:
    """Raise ``ImageError`` when the picture in ``header``'s pixel data is cut short or of another size than it says.

    JPEG, JPEG-LS and JPEG 2000 state a size; of an RLE stream, which does not, the decoded length is counted.
    """
    stream = get_frame(header.PixelData, 0, number_of_frames=1)
    if header.file_meta.TransferSyntaxUID == RLELossless:
        return _check_rle(path, stream, int(header.Columns) * int(header.Rows))
    size = jpeg_size(stream) if stream[:2] == b"\xff\xd8" else jpeg2000_size(stream)
    if size is None:  # also what a damaged stream looks like; some decoders end the process on those
        raise refusal(path, EXPECTED, _DAMAGE, _TODO)
    check_size(path, *size)
    stated = (int(header.Columns), int(header.Rows))
    if size != stated:
        got = f"{size[0]} x {size[1]} pixels under a header of {stated[0]} x {stated[1]}"
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


def jpeg_size(stream: bytes) -> tuple[int, int] | None:
    """``(width, height)`` from the start-of-frame segment of a JPEG or JPEG-LS stream, ``None`` without one."""
    at = 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_SIZE):
            height, width = unpack_from(">HH", stream, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 + unpack_from(">H", stream, at + 2)[0]
    return None


def jpeg2000_size(stream: bytes) -> tuple[int, int] | None:
    """``(width, height)`` from the SIZ segment of a JPEG 2000 codestream, bare or boxed, ``None`` without one."""
    at = stream[:4096].find(b"\xff\x4f\xff\x51")
    if at < 0 or at + 24 > len(stream):
        return None
    right, bottom, left, top = unpack_from(">IIII", stream, at + 8)
    return right - left, bottom - top
