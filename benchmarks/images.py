"""How long reading takes: ``python benchmarks/images.py --json OUT``. One core, warm file cache, best and median of 5.

The real radiograph is RG1_UNCR.dcm of pydicom-data (1841 x 1955, 15 bits, uncompressed); the others are synthetic. The
import of pydicom, paid once a process, is a line of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from knowmvg.sources.image import read_radiograph

ROUNDS = 5


def smooth_picture(side: int, bits: int) -> np.ndarray:
    """A ramp with noise of about 3 % of the range, which compresses about as well as a radiograph."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    noise = np.random.default_rng(0).normal(0, 0.01, (side, side))
    unit = np.clip(0.1 + 0.4 * rows + 0.4 * columns + noise, 0, 1)
    return np.rint(unit * (2**bits - 1)).astype(np.uint16 if bits > 8 else np.uint8)


def write_dicom(path: Path, pixels: np.ndarray, syntax: str | None = None) -> Path:
    """A CR file of 16-bit pixels with a window, MONOCHROME1."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    header.Modality, header.PhotometricInterpretation, header.SamplesPerPixel = "CR", "MONOCHROME1", 1
    header.Rows, header.Columns = pixels.shape
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    header.WindowCenter, header.WindowWidth = 32768, 65536
    header.PixelData = pixels.tobytes()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax is not None:
        header.compress(syntax, pixels)
    header.save_as(path, enforce_file_format=True)
    return path


def measured(path: Path) -> dict[str, object]:
    """Milliseconds to read ``path``."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        image = read_radiograph(path)
        times.append(1000 * (time.perf_counter() - start))
    return {"size": list(image.size), "best_ms": round(min(times), 1), "median_ms": round(median(times), 1)}


def import_time() -> dict[str, object]:
    """Milliseconds to import the DICOM reader in a fresh process that has numpy."""
    code = (
        "import numpy, PIL.Image, pydantic, time; start = time.perf_counter(); "
        "import knowmvg.sources.dicom; print(time.perf_counter() - start)"
    )
    times = [
        1000 * float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    return {"best_ms": round(min(times), 1), "median_ms": round(median(times), 1)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    out = parser.parse_args().json
    results = {"import_dicom_reader": import_time()}
    real = get_testdata_file("RG1_UNCR.dcm", download=False)
    if real is not None:
        results["rg1_dicom"] = measured(Path(real))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deep = smooth_picture(2000, 16)
        syntaxes = {"": None, "_rle": RLELossless, "_jpeg_ls": JPEGLSLossless, "_jpeg_2000": JPEG2000Lossless}
        for suffix, syntax in syntaxes.items():
            path = write_dicom(folder / f"deep{suffix}.dcm", deep, syntax)
            results[f"synthetic_2000_16_bit{suffix}"] = measured(path)
        Image.fromarray(smooth_picture(512, 8)).save(folder / "small.png")
        results["png_512"] = measured(folder / "small.png")
    part = out.with_name(out.name + ".part")
    part.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    part.replace(out)
    for case, figures in results.items():
        print(f"{case:34} {figures['median_ms']:>8} ms")


if __name__ == "__main__":
    main()
