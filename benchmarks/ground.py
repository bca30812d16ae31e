"""How long a grounding takes: ``python benchmarks/ground.py --json OUT [--model DIR]``. One torch thread, one process.

``ms_512``: milliseconds from a PNG file of 512 pixels and a report of two findings to the answer, median of 20 after 3
to warm up. ``s_dicom_2000``: seconds for an uncompressed DICOM file of 2,000 x 2,000 pixels and 16 bits, median of 5.
``ms_study_one_by_one`` and ``ms_study_folder``: milliseconds a study of 24 such DICOM files, asked one after the other,
and as ``knowmvg ground FOLDER`` does it: in batches, read ahead by 2 threads, results written; median of 3.
``s_load``: seconds from a fresh process that has imported nothing to a loaded model, imports included, median of 3. The
images are a simulated radiograph, made on the spot; the file cache is warm; single results are not written.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from images import write_dicom  # benchmarks/images.py
from PIL import Image

from knowmvg.core.errors import KnowmvgError
from knowmvg.grounders.shipped import DEMO_MODEL
from knowmvg.inference.many import ground_shard, open_results
from knowmvg.inference.session import Session, load
from knowmvg.inference.worklist import WorkList
from knowmvg.sources.phantom.simulate import simulate

REPORT = "Small left pleural effusion. There is a nodule in the right upper lobe."
WARM_UP, ROUNDS, DICOM_ROUNDS, LOADS = 3, 20, 5, 3
STUDIES, FOLDER_ROUNDS = 24, 3


def seconds(session: Session, path: Path, rounds: int, warm_up: int) -> float:
    """Median seconds of ``rounds`` groundings of a file. Ends the script where fewer than two phrases get a box."""
    times = []
    for number in range(warm_up + rounds):
        start = time.perf_counter()
        grounding = session.ground(path, REPORT)
        if number >= warm_up:
            times.append(time.perf_counter() - start)
        if sum(bool(phrase.boxes) for phrase in grounding.phrases) < 2:
            sys.exit("expected at least two phrases with boxes, got fewer: the figure would mean nothing")
    return median(times)


def load_seconds(model: Path) -> float:
    """Median seconds to import and to load, each in a process of its own."""
    code = (
        "import sys, time; start = time.perf_counter(); from knowmvg.inference.session import load; "
        "load(sys.argv[1]); print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code, str(model)]
    return median(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(LOADS)
    )


def folder_seconds(session: Session, image: Path, place: Path) -> tuple[float, float]:
    """Median seconds a study, one by one and as a folder, of copies of an image. Ends the script where one fails."""
    data = place / "studies"
    data.mkdir()
    for number in range(STUDIES):
        (data / f"s{number:03d}.dcm").symlink_to(image)
        (data / f"s{number:03d}.txt").write_text(REPORT, encoding="utf-8")
    alone, together = [], []
    for turn in range(FOLDER_ROUNDS):  # in turns: whatever else the machine does falls on both
        start = time.perf_counter()
        for path in sorted(data.glob("*.dcm")):
            session.ground(path, path.with_suffix(".txt"), study_id=path.stem)
        alone.append(time.perf_counter() - start)
        start = time.perf_counter()
        work = WorkList(data)
        counts = ground_shard(session, work, open_results(place / f"out{turn}", work, "benchmark", "both"))
        together.append(time.perf_counter() - start)
        if counts.answered != STUDIES:
            sys.exit(f"expected {STUDIES} answers, got {counts}: the figure would mean nothing")
    return median(alone) / STUDIES, median(together) / STUDIES


def measure(model: Path) -> dict[str, float]:
    """The figures."""
    torch.set_num_threads(1)
    session = load(model)
    pixels = simulate(np.random.default_rng(7), size=512).pixels
    with tempfile.TemporaryDirectory() as name:
        small, large = Path(name) / "small.png", Path(name) / "large.dcm"
        Image.fromarray(pixels).save(small)
        enlarged = np.asarray(Image.fromarray(pixels).resize((2000, 2000), Image.Resampling.BICUBIC), dtype=np.uint16)
        write_dicom(large, (255 - enlarged) * 257)  # MONOCHROME1 stores bone dark
        alone, together = folder_seconds(session, large, Path(name))
        return {
            "ms_512": round(1000 * seconds(session, small, ROUNDS, WARM_UP), 1),
            "s_dicom_2000": round(seconds(session, large, DICOM_ROUNDS, 1), 3),
            "ms_study_one_by_one": round(1000 * alone, 1),
            "ms_study_folder": round(1000 * together, 1),
            "s_load": round(load_seconds(model), 2),
        }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    parser.add_argument("--model", type=Path, default=DEMO_MODEL, help="model folder (default: the shipped one)")
    arguments = parser.parse_args()
    try:
        figures = measure(arguments.model)
    except KnowmvgError as error:
        sys.exit(str(error))
    for name, value in figures.items():
        print(f"{name:20} {value:>9}")
    result = {**figures, "processor": platform.machine(), "torch": torch.__version__}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.json.with_name(arguments.json.name + ".part")
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(part, arguments.json)


if __name__ == "__main__":
    main()
