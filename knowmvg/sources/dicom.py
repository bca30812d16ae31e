"""DICOM files to display pixels: header checks, decoding, grey-scale pipeline."""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from knowmvg.core.errors import ImageError
from knowmvg.core.records import Radiograph
from knowmvg.sources import dicom_header
from knowmvg.sources.codestream import check_codestream
from knowmvg.sources.dicom_header import EXPECTED
from knowmvg.sources.display import to_display
from knowmvg.sources.limits import MAX_FILE_BYTES, refusal

# Colour channels of a grey picture stored as RGB differ by no more than rounding and lossy compression.
_GREY_TOLERANCE = 16

_DEFERRED = 4096  # bytes; longer elements, the pixels above all, stay in the file when only the header is wanted

# On damaged streams pylibjpeg-rle panics and gdcm may end the process, past every `except`; these decoders raise.
_DECODERS = {
    RLELossless: "pydicom",
    JPEGBaseline8Bit: "pillow",
    JPEG2000: "pylibjpeg",
    JPEG2000Lossless: "pylibjpeg",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
}


def read_dicom(path: Path) -> Radiograph:
    """Read a DICOM file as a viewer shows it; the chain is described in ``display.py``.

    Boxes refer to the stored pixels: the image is neither flipped nor turned, a mirrored file gives a warning.

    Raises:
        ImageError: the file is damaged, cut short, over the limits of ``limits.py``, has several frames, or is not a
            radiograph; a report, a CT or a colour photograph, say.
    """
    with _reading(path):
        header = _header(path)
        dicom_header.check_header(path, header)
        aspect, doubts = dicom_header.pixel_aspect(header)
        stored = _decoded(path, header)
        pixels, shown = to_display(stored, header)
        return Radiograph(pixels, aspect, (*dicom_header.notes(header), *doubts, *shown))


def dicom_shape(path: Path) -> tuple[tuple[int, int], float]:
    """``(width, height)`` of the stored image and its pixel aspect: the header is read, the pixels are passed over.

    Raises:
        ImageError: the file is damaged, or its header is none of a single image of sane size.
    """
    with _reading(path):
        _check_deflated(path)
        header = dcmread(path, force=True, defer_size=_DEFERRED, specific_tags=list(dicom_header.ELEMENTS))
        dicom_header.check_header(path, header)
        return (int(header.Columns), int(header.Rows)), dicom_header.pixel_aspect(header)[0]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever is raised inside becomes an ``ImageError``, and pydicom is kept quiet."""
    try:
        with _quiet():
            yield
    except ImageError:
        raise
    except Exception as error:  # a damaged header or stream raises nearly anything inside pydicom and its decoders
        got = f"damaged, cut short or not to be decoded ({type(error).__name__})"
        raise refusal(path, EXPECTED, got, "Copy or export the file again.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from warning and logging: its messages quote header values."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _header(path: Path) -> Dataset:
    _check_deflated(path)
    header = dcmread(path, force=True, specific_tags=list(dicom_header.ELEMENTS))
    if not hasattr(header, "file_meta"):
        header.file_meta = FileMetaDataset()
    if not header.file_meta.get("TransferSyntaxUID"):
        implicit, little = header.original_encoding
        plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain
    return header


def _check_deflated(path: Path) -> None:
    """Refuse a deflated data set that would grow over the limit: pydicom inflates it whole."""
    with path.open("rb") as stream:
        if stream.read(132)[128:] != b"DICM":
            return
        meta = read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        stream.seek(144 + int(meta.FileMetaInformationGroupLength))
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        size = len(inflater.decompress(stream.read(), MAX_FILE_BYTES))
        if size >= MAX_FILE_BYTES:
            raise refusal(path, EXPECTED, "a deflated file that grows over the size limit", "Export it uncompressed.")


def _decoded(path: Path, header: Dataset) -> NDArray[np.integer[Any]]:
    """Stored values ``[H, W]``."""
    syntax = UID(header.file_meta.TransferSyntaxUID)
    if syntax.is_encapsulated:
        check_codestream(path, header)
    if "PixelRepresentation" not in header:
        header.PixelRepresentation = 0
    array: NDArray[np.integer[Any]] = pixel_array(header, decoding_plugin=_DECODERS.get(syntax, ""))
    if array.ndim == 3:
        return _grey_of_colour(path, header, array)
    if array.ndim != 2 or str(header.PhotometricInterpretation) not in ("MONOCHROME1", "MONOCHROME2"):
        raise refusal(path, EXPECTED, "not a grey image", "Export it as a grey-scale image.")
    if not syntax.is_encapsulated and header.BitsStored < header.BitsAllocated:
        array = _stored_bits(array, header)
    return array


def _stored_bits(array: NDArray[np.integer[Any]], header: Dataset) -> NDArray[np.integer[Any]]:
    """Only the bits that belong to the pixel; old files keep overlays in the others."""
    high = int(header.get("HighBit", header.BitsStored - 1))
    above = int(header.BitsAllocated) - 1 - high
    below = high + 1 - int(header.BitsStored)
    if above < 0 or below < 0:
        raise ValueError("expected the stored bits inside the allocated ones")
    stored: NDArray[np.integer[Any]] = np.right_shift(np.left_shift(array, above), above + below)
    return stored


def _grey_of_colour(path: Path, header: Dataset, array: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """One channel of a colour capture whose channels agree; anything else is a photograph or a drawing."""
    spread = array.max(axis=2).astype(np.int32) - array.min(axis=2)
    limit = _GREY_TOLERANCE << max(0, int(header.BitsStored) - 8)
    if array.shape[2] != 3 or (spread > limit).mean() > 0.01:
        raise refusal(path, EXPECTED, "a colour image", "Give the grey radiograph itself.")
    header.PhotometricInterpretation = "MONOCHROME2"
    return array[..., 1]
