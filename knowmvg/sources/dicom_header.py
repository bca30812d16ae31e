"""What a DICOM header says of an image: whether it can be a chest radiograph, and what a reader should know of it.

Nothing of a header is repeated in a message except its modality, its sizes and its number of frames.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from knowmvg.sources.limits import check_size, refusal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

EXPECTED = "a DICOM file of one chest radiograph"

# Everything that is read; names, identifiers and dates stay in the file.
ELEMENTS = (
    "SOPClassUID",
    "Modality",
    "PresentationIntentType",
    "BodyPartExamined",
    "ViewPosition",
    "PatientOrientation",
    "BurnedInAnnotation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelAspectRatio",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PresentationLUTShape",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
)

_RADIOGRAPHS = ("CR", "DX", "RG")
_CAPTURES = ("OT", "SC", "")
_RADIOGRAPH_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # computed radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # digital X-ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # digital X-ray, for processing
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
)
_MODALITIES = {
    "CT": "a CT",
    "MR": "an MR image",
    "US": "an ultrasound image",
    "NM": "a nuclear medicine image",
    "PT": "a PET image",
    "MG": "a mammogram",
    "XA": "an angiogram",
    "RF": "a fluoroscopy image",
    "PX": "a panoramic dental radiograph",
    "IO": "an intra-oral radiograph",
    "SR": "a structured report",
    "PR": "a presentation state",
    "SEG": "a segmentation",
    "RTSTRUCT": "a radiotherapy structure set",
    "RTPLAN": "a radiotherapy plan",
    "RTDOSE": "a radiotherapy dose",
    "ECG": "an electrocardiogram",
    "SM": "a slide of microscopy",
    "XC": "a photograph",
    "OP": "an eye photograph",
    "ES": "an endoscopy image",
}
_CHEST_WORDS = ("CHEST", "THORA", "TORAX", "LUNG", "RIB", "STERN")
_LATERAL = ("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT")
_DECUBITUS = ("LLD", "RLD")


def check_header(path: Path, header: Dataset) -> None:
    """Raise ``ImageError`` unless ``header`` describes a single image that can be a grey radiograph of sane size."""
    todo = "Give a CR, DX or RG image, or a PNG of it."
    modality = _word(header, "Modality")
    if modality not in (*_RADIOGRAPHS, *_CAPTURES):
        raise refusal(path, EXPECTED, _MODALITIES.get(modality, "an image of another modality"), todo)
    if not modality and _storage_class(header) not in _RADIOGRAPH_CLASSES:
        raise refusal(path, EXPECTED, "no modality and no radiograph class", todo)
    if "PixelData" not in header:
        raise refusal(path, EXPECTED, "no pixel data", "Give the image object, not a report or a bare header.")
    frames = header.get("NumberOfFrames")
    if frames is not None and int(frames) > 1:
        raise refusal(path, EXPECTED, f"{int(frames)} frames", "Export the one frame that is the radiograph.")
    missing = [name for name in ("Rows", "Columns", "BitsAllocated", "BitsStored") if not header.get(name)]
    if missing:
        raise refusal(path, EXPECTED, f"no {', '.join(missing)} in the header", "Export the file again.")
    check_size(path, int(header.Columns), int(header.Rows))
    depth = int(header.BitsAllocated)
    if depth not in (8, 16) or not 1 <= int(header.BitsStored) <= depth:
        got = f"{header.BitsStored} bits in {depth} a pixel"
        raise refusal(path, "pixels of 1 to 16 bits in 8 or 16", got, "Export it as 16-bit grey.")


def _storage_class(header: Dataset) -> str:
    """The SOP class, from the file's meta information where de-identification took it out of the data set (VinDr)."""
    meta = getattr(header, "file_meta", None)
    return str(header.get("SOPClassUID") or (meta.get("MediaStorageSOPClassUID") if meta else None) or "")


def notes(header: Dataset) -> list[str]:
    """What a reader of a result should know, one sentence each."""
    return [text for holds, text in _facts(header) if holds]


def _facts(header: Dataset) -> list[tuple[bool, str]]:
    part, view = _word(header, "BodyPartExamined"), _word(header, "ViewPosition")
    across, down = (*_words(header, "PatientOrientation"), "", "")[:2]
    lateral = view in _LATERAL or across[:1] in ("A", "P")
    return [
        (_word(header, "Modality") in _CAPTURES, "secondary capture or unnamed modality: may not be a radiograph"),
        (_word(header, "PresentationIntentType") == "FOR PROCESSING", "raw detector image, not meant for display"),
        (
            bool(part) and not any(word in part for word in _CHEST_WORDS),
            "the file names a body part other than the chest",
        ),
        (lateral, "lateral view: sides and boxes are meant for frontal views"),
        (view in _DECUBITUS, "decubitus view: fluid and air lie elsewhere than in an upright patient"),
        (across.startswith("R"), "mirrored: the file says that its columns run towards the patient's right"),
        (down.startswith("H"), "upside down: the file says that its rows run towards the patient's head"),
        (_word(header, "BurnedInAnnotation") == "YES", "burned-in annotation: the pixels may name the patient"),
    ]


def pixel_aspect(header: Dataset) -> tuple[float, list[str]]:
    """Physical height of a pixel divided by its width, and a warning where the file contradicts sense.

    From PixelSpacing or ImagerPixelSpacing (row spacing, column spacing), else PixelAspectRatio (vertical,
    horizontal). Zeros, which some scanners write, count as absent.
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        pair = _pair(header, keyword)
        if pair is None:
            continue
        aspect = pair[0] / pair[1]
        if not 0.2 <= aspect <= 5:
            return 1.0, [f"the file's {keyword} makes no sense; pixels were taken as square"]
        return (1.0 if abs(aspect - 1) < 1e-3 else aspect), []
    return 1.0, []


def _pair(header: Dataset, keyword: str) -> tuple[float, float] | None:
    try:
        down, across = (float(v) for v in header.get(keyword) or ())
    except (TypeError, ValueError):
        return None
    return (down, across) if isfinite(down) and isfinite(across) and min(down, across) > 0 else None


def _words(header: Dataset, keyword: str) -> list[str]:
    try:
        value = header.get(keyword)
    except (TypeError, ValueError):
        return []
    parts = [] if value is None else [value] if isinstance(value, str) else list(value)
    return [str(part).strip().upper() for part in parts]


def _word(header: Dataset, keyword: str) -> str:
    return next(iter(_words(header, keyword)), "")
