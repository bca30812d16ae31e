"""How near `knowmvg doctor` comes to the memory that a run really takes.

The run is a whole one of few steps, from simulated studies to a model folder, of `recipes/demo.yaml` (KnowMVG) and of
`recipes/pfmvg-demo.yaml` (PFMVG, a pass over the data in both stages), each at a tiny size and at its own. Its memory
is read off torch's own profiler, which sees every allocation of the main thread (so weights are loaded there) and knows
nothing of the doctor's counting. `--json OUT` writes `memory_estimate_error` (the greatest error of all cases, as a
share) beside the bytes of each. It is a part of what `benchmarks/training.py` measures, for whoever wants it alone.

    python benchmarks/doctor.py --json OUT
    python benchmarks/doctor.py --cases coordinates_tiny coordinates_cpu_size --json OUT
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from knowmvg.training.doctor.diagnosis import diagnose
from knowmvg.training.recipe import read_recipe
from knowmvg.training.run import train
from knowmvg.training.studies import open_studies

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
COORDINATES_FEW = [
    "scratch.vision.schedule.steps=3",
    "scratch.language.schedule.steps=40",
    "caption.epochs=1",
    "grounding.epochs=1",
    "grounding.validate=0",
    "validation_studies=8",
]
COORDINATES_TINY = [
    "data.size=64",
    "scratch.vision.side=64",
    "scratch.vision.patch=8",
    "scratch.vision.cells=2",
    "scratch.vision.width=16",
    "scratch.vision.layers=1",
    "scratch.language.width=32",
    "scratch.language.layers=1",
    "scratch.language.vocabulary=400",
]


class Case(NamedTuple):
    """A recipe with values that replace its own."""

    recipe: Path
    overrides: list[str]


RECIPES, STUDIES = Path(__file__).parents[1] / "recipes", 160
DEMO, COORDINATES = RECIPES / "demo.yaml", RECIPES / "pfmvg-demo.yaml"
CASES = {
    "tiny": Case(DEMO, [*FEW, *TINY]),
    "cpu_size": Case(DEMO, FEW),
    "coordinates_tiny": Case(COORDINATES, [*COORDINATES_FEW, *COORDINATES_TINY]),
    "coordinates_cpu_size": Case(COORDINATES, COORDINATES_FEW),
}


def measured(recipe: Path, overrides: list[str], runs: Path) -> int:
    """Bytes of a whole run at its highest, by torch's profiler."""
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"  # transformers: no threads for weights
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        train(recipe, overrides, runs, lambda _: None)
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        profiled.export_chrome_trace(file.name)
        with Path(file.name).open(encoding="utf-8") as trace:
            events = json.load(trace)["traceEvents"]
    return max(event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]")


def compared(recipe: Path, overrides: list[str], folder: Path) -> dict[str, Any]:
    """The doctor's estimate and the run's own memory, in bytes, the error as a share, and which stage it is of."""
    read = read_recipe(recipe, overrides)
    open_studies(read.data, 1, folder / "leaks", lambda _: None)  # simulates them
    diagnosis = diagnose(read, folder / "runs", lambda _: None)
    assert diagnosis.trial is not None
    most = max(diagnosis.trial.stages, key=lambda stage: stage.memory)
    found = measured(recipe, overrides, folder / "runs")
    error = round(abs(most.memory - found) / found, 4)
    return {"estimate": most.memory, "measured": found, "error": error, "stage": most.name}


def memory_estimate(cases: Mapping[str, Case] = CASES, studies: int = STUDIES) -> dict[str, Any]:
    """The comparison of each case, and the greatest error of all."""
    torch.manual_seed(0)
    found = {}
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        for name, case in cases.items():
            place = Path(folder) / name
            keys = [*case.overrides, f"data.folder={place / 'data'}", f"data.studies={studies}"]
            found[name] = compared(case.recipe, keys, place)
    return {"memory_estimate_error": max(each["error"] for each in found.values()), "memory_estimate": found}


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), help="which; all without")
    parser.add_argument("--studies", type=int, default=STUDIES, help="studies to simulate")
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args()
    values = memory_estimate({name: CASES[name] for name in options.cases}, options.studies)
    text = json.dumps(values, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
