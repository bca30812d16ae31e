"""How near `knowmvg doctor` comes to the memory that a run really takes.

The run is a whole one of few steps, from simulated studies to a model folder. Its memory is read off torch's own
profiler, which sees every allocation and knows nothing of the doctor's counting. `--json OUT` writes
`memory_estimate_error` (the greater of the two sizes' errors, as a share) beside the bytes of both. It is a part
of what `benchmarks/training.py` measures, for whoever wants it alone.

    python benchmarks/doctor.py --json OUT
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from knowmvg.training.doctor.diagnosis import diagnose
from knowmvg.training.recipe import read_recipe
from knowmvg.training.run import train

FEW = [
    "language.schedule.steps=3",
    "segmenter.schedule.steps=3",
    "train.steps=16",
    "train.warmup=1",
    "train.validate=0",
    "local_steps=0",
    "validation_studies=8",
]
TINY = [
    "image_encoder.canvas=64",
    "image_encoder.channels=16",
    "image_encoder.widths=[8,8,16]",
    "language.width=32",
    "language.layers=1",
    "language.image_tokens=2",
    "train.batch=4",
]
SIZES = {"tiny": TINY, "cpu_size": []}
RECIPE, STUDIES = Path(__file__).parents[1] / "recipes" / "demo.yaml", 160


def measured(recipe: Path, overrides: list[str], runs: Path) -> int:
    """Bytes of a whole run at its highest, by torch's profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        train(recipe, overrides, runs, lambda _: None)
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        profiled.export_chrome_trace(file.name)
        with Path(file.name).open(encoding="utf-8") as trace:
            events = json.load(trace)["traceEvents"]
    return max(event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]")


def compared(recipe: Path, overrides: list[str], folder: Path) -> dict[str, float]:
    """The doctor's estimate and the run's own memory, in bytes, and the error as a share."""
    train(recipe, [*overrides, "train.steps=1", "name=data"], folder / "first", lambda _: None)  # simulates the studies
    diagnosis = diagnose(read_recipe(recipe, overrides), folder / "runs", lambda _: None)
    assert diagnosis.trial is not None
    estimate = max(stage.memory for stage in diagnosis.trial.stages)
    found = measured(recipe, overrides, folder / "runs")
    return {"estimate": estimate, "measured": found, "error": round(abs(estimate - found) / found, 4)}


def memory_estimate(recipe: Path, studies: int, sizes: Mapping[str, list[str]] = SIZES) -> dict[str, Any]:
    """The comparison at each size, a list of overrides, and the greatest error of all."""
    torch.manual_seed(0)
    found = {}
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        for name, more in sizes.items():
            place = Path(folder) / name
            keys = [*FEW, *more, f"data.folder={place / 'data'}", f"data.studies={studies}"]
            found[name] = compared(recipe, keys, place)
    return {"memory_estimate_error": max(each["error"] for each in found.values()), "memory_estimate": found}


def main() -> None:
    """Run the comparison at two sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="a CPU-size recipe")
    parser.add_argument("--studies", type=int, default=STUDIES, help="studies to simulate")
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args()
    values = memory_estimate(options.recipe, options.studies)
    text = json.dumps(values, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
