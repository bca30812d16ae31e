"""The grey-scale pipeline of DICOM: stored values to display values (PS3.3 C.11 and PS3.14; what a viewer shows).

The chain is modality LUT, VOI window or LUT, presentation LUT. It is worked out once for every grey value that occurs,
at most 65,536 of them, and not for every pixel: exact, and the reason why a 4-megapixel radiograph takes milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Floats = NDArray[np.float64]

# Without a window, what lies between these percentiles of the pixels is spread over the grey scale.
PERCENTILES = (0.5, 99.5)
# A window that leaves the 1st and the 99th percentile closer than this shows next to nothing.
FAINTEST = 0.1


def to_display(stored: NDArray[np.integer[Any]], header: Dataset) -> tuple[NDArray[np.float32], list[str]]:
    """Stored values ``[H, W]`` as float32 display values in ``[0, 1]`` with air dark, and what a reader should know.

    A VOI LUT is preferred to a window, as in highdicom; of several, the first counts. A file with neither is shown
    over its full range if it has 8 bits, else between ``PERCENTILES``. Padding pixels become 0.
    """
    low = int(stored.min())
    index = (stored.astype(np.int32) - low).astype(np.uint16)
    values = np.arange(low, int(stored.max()) + 1)
    counts = _counts(index, values.size)
    padding = _padding(values, header)
    if counts[~padding].sum() > 0:
        counts = np.where(padding, 0, counts)
    notes: list[str] = []
    measured = _modality(values, header, notes)
    shown = _voi(measured, counts, header, notes)
    if _inverted(header, notes):
        shown = 1 - shown
    shown[padding & (counts == 0)] = 0
    if np.count_nonzero(counts) == 1:
        notes.append("the image is blank: one grey value everywhere")
    return np.asarray(shown, dtype=np.float32)[index], notes


def _counts(index: NDArray[np.uint16], size: int) -> NDArray[np.int64]:
    """How often each value occurs; in pieces, because ``bincount`` works on a copy of 8 bytes a pixel."""
    pieces = np.array_split(index.ravel(), max(1, index.size >> 20))
    return np.asarray(sum(np.bincount(piece, minlength=size) for piece in pieces), dtype=np.int64)


def _padding(values: NDArray[np.int64], header: Dataset) -> NDArray[np.bool_]:
    first = _number(header, "PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, dtype=bool)
    last = _number(header, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    return (values >= low) & (values <= high)


def _modality(values: NDArray[np.int64], header: Dataset, notes: list[str]) -> Floats:
    table = header.get("ModalityLUTSequence")
    if table:
        return _look_up(table[0], values, header)[0]
    slope, intercept = _number(header, "RescaleSlope"), _number(header, "RescaleIntercept")
    if slope is None or intercept is None:
        return values.astype(np.float64)
    if slope == 0:
        notes.append("the file's rescale slope is 0 and was left out")
        return values.astype(np.float64)
    return np.asarray(values * slope + intercept, dtype=np.float64)


def _voi(measured: Floats, counts: NDArray[np.int64], header: Dataset, notes: list[str]) -> Floats:
    shown, reason = _voi_of_file(measured, header, notes), "the file's window leaves the image nearly empty"
    if shown is None:
        reason = "the file has no window"
        if header.BitsStored == 8 and not header.get("ModalityLUTSequence"):
            shown = _full_range(measured, header)
    if shown is None or (_spread(shown, counts) < FAINTEST and np.count_nonzero(counts) > 1):
        notes.append(f"{reason}: shown between the {PERCENTILES[0]}th and {PERCENTILES[1]}th percentile of its pixels")
        return _percentile_window(measured, counts)
    if reason == "the file has no window":
        notes.append(f"{reason}: its full 8-bit range is shown")
    return shown


def _full_range(measured: Floats, header: Dataset) -> Floats:
    stored = np.array([-128, 127] if header.PixelRepresentation else [0, 255])
    low, high = np.sort(_modality(stored, header, []))
    return _ramp(measured, float(low), float(high))


def _voi_of_file(measured: Floats, header: Dataset, notes: list[str]) -> Floats | None:
    table = header.get("VOILUTSequence")
    if table:
        mapped, top = _look_up(table[0], measured, header)
        return _ramp(mapped, 0, top)
    centre, width = _number(header, "WindowCenter"), _number(header, "WindowWidth")
    if centre is None or width is None:
        return None
    function = str(header.get("VOILUTFunction") or "LINEAR")
    if width <= 0 or (width < 1 and function not in ("LINEAR_EXACT", "SIGMOID")):
        notes.append("the file's window has an impossible width and was left out")
        return None
    return window(measured, centre, width, function)


def window(values: Floats, centre: float, width: float, function: str = "LINEAR") -> Floats:
    """``values`` through a VOI window, in ``[0, 1]`` (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    ``function`` is ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``; any other counts as ``LINEAR``, the default of the
    standard.
    """
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return _ramp(values, centre - width / 2, centre + width / 2)
    if width == 1:  # the standard's step: dark up to centre - 0.5, bright above
        return np.where(values > centre - 0.5, 1.0, 0.0)
    return _ramp(values, centre - width / 2, centre + width / 2 - 1)


def _percentile_window(measured: Floats, counts: NDArray[np.int64]) -> Floats:
    low, high = _percentiles(measured, counts, PERCENTILES)
    if high <= low:
        present = measured[counts > 0]
        low, high = float(present.min()), float(present.max())
    return _ramp(measured, low, high)


def _ramp(values: Floats, low: float, high: float) -> Floats:
    return np.asarray(np.clip((values - low) / max(high - low, 1e-9), 0, 1), dtype=np.float64)


def _percentiles(values: Floats, counts: NDArray[np.int64], percents: tuple[float, ...]) -> list[float]:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    ranks = np.asarray(percents) / 100 * reached[-1]
    return [float(v) for v in values[order][np.searchsorted(reached, ranks)]]


def _spread(shown: Floats, counts: NDArray[np.int64]) -> float:
    low, high = _percentiles(shown, counts, (1.0, 99.0))
    return high - low


def _inverted(header: Dataset, notes: list[str]) -> bool:
    """Whether low values are bright: as the presentation LUT shape says, else as the photometric interpretation."""
    inverse = str(header.PhotometricInterpretation) == "MONOCHROME1"
    shape = str(header.get("PresentationLUTShape") or "")
    if shape not in ("IDENTITY", "INVERSE"):
        return inverse
    if inverse != (shape == "INVERSE"):
        notes.append(
            "the file's presentation LUT contradicts its photometric interpretation: check that bone is bright"
        )
    return shape == "INVERSE"


def _look_up(item: Dataset, values: NDArray[Any], header: Dataset) -> tuple[Floats, int]:
    """``values`` through the LUT of a sequence item, and the largest value that its entries may have."""
    entries, first, bits = (int(v) for v in item.LUTDescriptor)
    entries = entries or 2**16
    if not 1 <= bits <= 16:
        raise ValueError("expected LUT entries of 1 to 16 bits")
    if values.min() < 0 and first >= 2**15:  # the descriptor is signed when the pixels are
        first -= 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if header.original_encoding[1] is not False else ">"
        data = np.frombuffer(data, dtype=np.uint8 if len(data) < 2 * entries else f"{order}u2")
    table = np.atleast_1d(np.asarray(data, dtype=np.float64))[:entries]
    position = np.clip(np.rint(values - first), 0, table.size - 1).astype(np.int64)
    return table[position], 2**bits - 1


def _number(header: Dataset, keyword: str) -> float | None:
    """The first value of a numeric element, or ``None`` where it is absent, empty or no finite number."""
    try:
        value = header.get(keyword)
        if value is not None and not isinstance(value, (int, float, str)):
            value = value[0] if len(value) else None
        number = None if value is None or value == "" else float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if number is not None and np.isfinite(number) else None
