"""A file in, a radiograph out: what the file holds is read from its first bytes, never from its name."""

from __future__ import annotations

from pathlib import Path
from struct import unpack_from

from knowmvg.core.errors import ImageError
from knowmvg.core.records import Radiograph
from knowmvg.sources.limits import MAX_FILE_BYTES, refusal

EXPECTED = "a chest radiograph as DICOM, PNG or JPEG"
_RASTER = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")

# Formats that users give by mistake, named so that the error can say what came.
_OTHERS = {
    b"GIF8": "a GIF",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"II+\0": "a TIFF",
    b"MM\0+": "a TIFF",
    b"BM": "a BMP",
    b"RIFF": "a WebP or other RIFF file",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a gzip archive (NIfTI, perhaps)",
    b"PK\x03\x04": "a zip archive",
    b"\0\0\0\x0cjP  ": "a bare JPEG 2000 file",
    b"\xff\x4f\xff\x51": "a bare JPEG 2000 file",
    b"<": "markup text",
    b"{": "JSON text",
}


def read_radiograph(path: Path) -> Radiograph:
    """Read one chest radiograph from a DICOM, PNG or JPEG file.

    Pixels come back as a viewer shows them (bone bright, air dark), float32 ``[H, W]`` in ``[0, 1]``; anything a reader
    of the result must know is in ``warnings``.

    Raises:
        ImageError: the file is missing, empty, too large, damaged, or not a single radiograph.
    """
    path = Path(path)
    head = _first_bytes(path)
    if _is_dicom(head):
        from knowmvg.sources.dicom import read_dicom  # pydicom takes half a second to import

        return read_dicom(path)
    if head.startswith(_RASTER):
        from knowmvg.sources.raster import read_raster

        return read_raster(path)
    raise _unknown(path, head)


def image_size(path: Path) -> tuple[int, int]:
    """``(width, height)`` of the radiograph that ``read_radiograph`` would give; see ``image_shape``."""
    return image_shape(path)[0]


def image_shape(path: Path) -> tuple[tuple[int, int], float]:
    """``(width, height)`` and pixel aspect of what ``read_radiograph`` would give, from the file's header alone.

    Raises:
        ImageError: as ``read_radiograph``, as far as a header can tell; damaged pixels are not noticed.
    """
    path = Path(path)
    head = _first_bytes(path)
    if _is_dicom(head):
        from knowmvg.sources.dicom import dicom_shape

        return dicom_shape(path)
    if head.startswith(_RASTER):
        from knowmvg.sources.raster import raster_size

        return raster_size(path), 1.0
    raise _unknown(path, head)


def _is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM" or _bare_dicom(head)


def _unknown(path: Path, head: bytes) -> ImageError:
    found = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), "a file of unknown content")
    return refusal(path, EXPECTED, found, "Convert it to PNG or export the DICOM file.")


def _bare_dicom(head: bytes) -> bool:
    """Whether a file without preamble opens with an element of group 2 or 8, as old archives write them."""
    if len(head) < 8:
        return False
    little, big = unpack_from("<HH", head), unpack_from(">HH", head)
    return any(group in (2, 8) and element < 0x100 for group, element in (little, big))


def _first_bytes(path: Path) -> bytes:
    todo = "Check the path."
    try:
        if path.is_dir():
            raise refusal(path, EXPECTED, "a folder", "Give one file.")
        if not path.exists():
            raise refusal(path, EXPECTED, "no such file", todo)
        if not path.is_file():  # reading a pipe or a device could wait for ever
            raise refusal(path, EXPECTED, "not a regular file", todo)
        size = path.stat().st_size
        if size == 0:
            raise refusal(path, EXPECTED, "an empty file", "Copy or export the file again.")
        if size > MAX_FILE_BYTES:
            limit = f"a file of at most {MAX_FILE_BYTES // 2**20} MiB"
            raise refusal(path, limit, f"{size / 2**20:.0f} MiB", "Give a single image, not an archive or a series.")
        with path.open("rb") as stream:
            return stream.read(132)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise refusal(
            path, EXPECTED, f"unreadable ({type(error).__name__})", "Check the path and its rights."
        ) from error
