"""How fast and in how much memory scattered rows are read: ``python benchmarks/readers.py [SOURCE --rows N]``.

``csv`` reads N boxes of three an image on average, in random order; ``medical-diff-vqa`` reads N questions, some four
an image, of which 1,047 have boxes in MS-CXR. Tables are made on the spot, in the published layouts and without
anyone's data. Printed as JSON: rows in, studies out, ``processor_seconds`` and ``peak_mb``, the process's largest
resident memory in MiB. Without a source both are read, each with few rows and with many, in a process of its own: the
memory must be the same.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from knowmvg.sources.datasets import open_reader
from knowmvg.sources.datasets.reader import DatasetReader, Places
from knowmvg.sources.manifest import StudyRow

PHRASES = ("small left pleural effusion", "right lower lobe consolidation", "enlarged heart", "bibasilar atelectasis")
IMAGES_WITH_BOXES = 1_047
QUESTIONS_AN_IMAGE = 4


def main() -> None:
    """Measure one source, or all of ``SIZES``; print the figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=sorted(SOURCES), nargs="?")
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    if args.source is not None:
        found = [measured(args.source, args.rows)]
    else:
        found = [_apart(source, rows) for source, sizes in SIZES.items() for rows in sizes]
    for figures in found:
        print(json.dumps(figures))
    if args.json is not None:
        partial = args.json.with_name(args.json.name + ".partial")
        partial.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        partial.replace(args.json)


def _apart(source: str, rows: int) -> dict[str, Any]:
    """The figures of a process that reads this alone, as its peak of memory has to be its own."""
    command = [sys.executable, __file__, source, "--rows", str(rows)]
    figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return figures


def measured(source: str, rows: int) -> dict[str, Any]:
    """Make the tables of a source, read them, and say how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        reader = SOURCES[source](Path(folder), rows)
        start = time.process_time()
        studies = sum(isinstance(item, StudyRow) for item in reader.read())
        seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    figures = {"rows": rows, "studies": studies, "processor_seconds": round(seconds, 1), "peak_mb": round(peak)}
    return {"source": source, **figures}


def boxes(root: Path, rows: int) -> DatasetReader:
    """A table of boxes whose images are in no order."""
    dice = random.Random(0)
    drawn = ((dice.randrange(rows // 3 + 1), dice.choice(PHRASES), n % 50, n % 40) for n in range(rows))
    table = ([f"{image}.png", text, x, y, x + 10, y + 7, f"p{image // 2}"] for image, text, x, y in drawn)
    _write(root / "boxes.csv", ["image", "phrase", "x1", "y1", "x2", "y2", "patient"], table)
    return open_reader("csv", Places(root))


def questions(root: Path, rows: int) -> DatasetReader:
    """Medical-Diff-VQA and MS-CXR; images are not looked at while reading."""
    dice, images = random.Random(0), max(IMAGES_WITH_BOXES, rows // QUESTIONS_AN_IMAGE)
    (root / "files").mkdir()
    held = ([10**7 + n, 5 * 10**7 + n, _dicom(n), "PA", "train", 0, 1] for n in range(images))
    _write(
        root / "mimic_all.csv",
        ["subject_id", "study_id", "dicom_id", "view", "split", "study_date", "study_order"],
        held,
    )
    asked = (dice.randrange(images) for _ in range(rows))
    _write(
        root / "mimic_pair_questions.csv",
        ["study_id", "subject_id", "ref_id", "question_type", "question", "answer", "split"],
        (
            [
                5 * 10**7 + n,
                10**7 + n,
                "",
                "abnormality",
                f"what is seen, {n % 11}?",
                "edema, pleural effusion",
                "train",
            ]
            for n in asked
        ),
    )
    drawn = ([*_boxed(n), 1, 2, 30, 40, 64, 48, _dicom(n), "train"] for n in range(IMAGES_WITH_BOXES))
    header = ["category_name", "label_text", "path", "x", "y", "w", "h", "image_width", "image_height", "dicom_id"]
    _write(root / "MS_CXR_Local_Alignment_v1.1.0.csv", [*header, "split"], drawn)
    return open_reader("medical-diff-vqa", Places(root))


SOURCES: dict[str, Callable[[Path, int], DatasetReader]] = {"csv": boxes, "medical-diff-vqa": questions}
SIZES = {"csv": (20_000, 400_000), "medical-diff-vqa": (20_000, 700_703)}  # the last: all questions of the release


def _boxed(number: int) -> tuple[str, str, str]:
    path = f"files/p10/p{10**7 + number}/s{5 * 10**7 + number}/{_dicom(number)}.jpg"
    return "Edema", f"mild edema {number % 7}", path


def _dicom(number: int) -> str:
    digits = hashlib.sha256(str(number).encode()).hexdigest()
    return "-".join(digits[start : start + 8] for start in range(0, 40, 8))


def _write(path: Path, header: list[str], rows: Iterable[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header])
        csv.writer(stream).writerows(rows)


if __name__ == "__main__":
    main()
