"""How fast and in how much memory rows are prepared: ``python benchmarks/prepare.py --json OUT``.

A source made on the spot gives ``--rows`` studies with a report of some 200 characters and two phrases, over
``--images`` small PNG files, more than are remembered, so that every row's image is opened and its header read. The
same is done first with a tenth of the rows: ``peak_mb`` and ``peak_mb_of_a_tenth`` are the process's largest resident
memory after each, ``base_mb`` that before, all in MiB. ``processor_seconds`` is the processor's time, which other work
on the machine disturbs less than the clock.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from knowmvg.core.records import Section, Side
from knowmvg.sources.datasets.reader import DatasetFacts, Fault
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.prepare import prepare

SIDE = 32
REPORT = (
    "FINDINGS: There is a small left pleural effusion with adjacent opacity at the base. The heart is mildly enlarged. "
    "No pneumothorax.\nIMPRESSION: Small left pleural effusion and cardiomegaly, as above."
)
PHRASES = (("small left pleural effusion", "pleural effusion"), ("heart is mildly enlarged", "cardiomegaly"))


class SyntheticReader:
    """Studies by number, four of a patient; every thousandth has a fault that is mended."""

    facts = DatasetFacts("Synthetic", "1", "none", credentialed=False, source="benchmarks/prepare.py")
    files: tuple[Path, ...] = ()

    def __init__(self, image_root: Path, rows: int, images: int) -> None:
        self.image_root, self.rows, self.images = image_root, rows, images

    def read(self) -> Iterator[StudyRow | Fault]:
        """The rows, with faults between them."""
        for number in range(self.rows):
            if number % 1000 == 999:
                yield Fault("duplicate row", "synthetic", number, "made up", kept=True)
            yield self._row(number)

    def _row(self, number: int) -> StudyRow:
        left, top = number % 15, number // 15 % 15
        phrases = tuple(
            PhraseRow(
                text=text,
                span=(REPORT.index(text), REPORT.index(text) + len(text)),
                section=Section.FINDINGS,
                finding=finding,
                side=Side.LEFT if finding != "cardiomegaly" else None,
                boxes=((left, top, left + 8.5, top + 6.25),),
            )
            for text, finding in PHRASES
        )
        return StudyRow(
            id=f"study-{number:08d}",
            patient=f"p{number // 4:08d}",
            split=("train", "train", "val", "test")[number // 4 % 4],
            image=f"{number % self.images}.png",
            width=SIDE,
            height=SIDE,
            report=REPORT,
            phrases=phrases,
            source=f"synthetic:{number + 2}",
        )


def peak_mb() -> float:
    """The largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(rows: int, images: int) -> dict[str, float]:
    """All figures of the benchmark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        for number in range(images):
            Image.fromarray(np.full((SIDE, SIDE), number % 256, dtype=np.uint8)).save(
                folder / "images" / f"{number}.png"
            )
        base = peak_mb()
        prepare(SyntheticReader(folder / "images", rows // 10, images), folder / "tenth")
        tenth = peak_mb()
        start, processed = time.perf_counter(), time.process_time()
        prepare(SyntheticReader(folder / "images", rows, images), folder / "all")
        seconds, processed = time.perf_counter() - start, time.process_time() - processed
        return {
            "rows": rows,
            "seconds": round(seconds, 1),
            "processor_seconds": round(processed, 1),
            "rows_per_second": round(rows / seconds),
            "peak_mb": round(peak_mb(), 1),
            "peak_mb_of_a_tenth": round(tenth, 1),
            "base_mb": round(base, 1),
            "manifest_mb": round((folder / "all" / "manifest.jsonl").stat().st_size / 2**20, 1),
        }


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints, and writes the JSON whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="file to write")
    parser.add_argument("--rows", type=int, default=400_000, help="studies of the source")
    parser.add_argument("--images", type=int, default=8_192, help="files that they share")
    options = parser.parse_args(arguments)
    text = json.dumps(measure(options.rows, options.images), indent=2) + "\n"
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=options.json.parent, delete=False, suffix=".part") as part:
        part.write(text)
    Path(part.name).replace(options.json)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
