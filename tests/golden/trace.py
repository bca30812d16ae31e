"""What the golden test compares, and how it is written anew: ``python -m tests.golden.trace``.

The trace follows one simulated study through the package: simulator, report grammar, report parser, shipped model. When
the test breaks, find out which part changed first. If the change was meant (another simulator, another shipped model),
run the command, look at the difference in ``trace.json`` and commit it with the reason; if not, it is a bug.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from knowmvg.inference.session import load
from knowmvg.sources.manifest import load_study, read_rows
from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.sources.report import read_report

TRACE = Path(__file__).with_name("trace.json")
SEED = 11


def trace() -> dict[str, Any]:
    """The study's row, mean grey value, reading and grounding, as plain JSON types."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        write_dataset(folder, studies=1, seed=SEED, size=256, workers=1)
        row = next(read_rows(folder))
        study = load_study(folder, row)
    reading = read_report(study.report)
    grounding = load().ground(study.image, study.report, phrases="model")
    return {
        "report": row.report,
        "labels": [{"text": p.text, "boxes": [list(b) for b in p.boxes]} for p in row.phrases],
        "mean_grey": round(float(study.image.pixels.mean()), 4),
        "reading": [[p.text, p.section.value, p.assertion.value, p.finding, p.side] for p in reading.phrases],
        "grounding": [
            {"text": p.text, "boxes": [[round(v, 1) for v in r.xyxy] for r in p.boxes]} for p in grounding.phrases
        ],
    }


if __name__ == "__main__":
    TRACE.write_text(json.dumps(trace(), indent=1) + "\n", encoding="utf-8")
