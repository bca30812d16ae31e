"""What training a CPU-size PFMVG costs: ``python benchmarks/coordinates_training.py --json OUT``.

Seconds of processor time a step of each stage of a recipe (``--recipe``), drawing the batch included, median of 5 after
2 to warm up, on one thread: processor time is the same whatever else the machine does. ``minutes_one_core`` is what the
steps come to with ``--studies`` training studies; reading images (once for the vision encoder, once for its tokens) and
validating are apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from knowmvg.sources.phantom.dataset import write_dataset
from knowmvg.training.coordinates import language, vision
from knowmvg.training.coordinates.recipe import CosinePart, PfmvgRecipe
from knowmvg.training.coordinates.stage import Stage
from knowmvg.training.recipe import read_recipe_of
from knowmvg.training.run import train

WARM_UP, ROUNDS, STUDIES = 2, 5, 60
RECIPE = Path(__file__).parents[1] / "recipes" / "pfmvg-demo.yaml"
QUICK = (
    "scratch.vision.schedule.steps=7",
    "scratch.language.schedule.steps=7",
    "scratch.vision.schedule.warmup=1",
    "validation_studies=1",
    "grounding.validate=0",
    "machine={device: cpu, report_to: []}",
)


class Clock:
    """Wraps what takes a step or a part of one, and keeps the processor seconds of each call."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def around(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """The same, timed from the end of the call before."""
        last = [time.process_time()]

        def timed(*given: Any, **named: Any) -> Any:
            done = act(*given, **named)
            now = time.process_time()
            self.times.setdefault(name, []).append(now - last[0])
            last[0] = now
            return done

        return timed

    def median(self, name: str) -> float:
        """Of the calls after those that warm up."""
        return median(self.times[name][WARM_UP:])


def measure(recipe_path: Path, recipe: PfmvgRecipe, studies: int, folder: Path) -> dict[str, Any]:
    """Seconds a step of each stage, and what they come to."""
    sizes = recipe.scratch
    if sizes is None:
        raise SystemExit("expected a recipe with `scratch`")
    write_dataset(folder / "data", studies=STUDIES, seed=0, workers=1, splits=(0.9, 0.05, 0.05))
    clock, plain = Clock(), Stage._take
    tasks: list[tuple[Any, str]] = [(vision.PatchTask, "vision"), (language.WritingTask, "language")]
    for task, name in tasks:
        task.forward = clock.around(name, task.forward)
    pairs = dict[str, int]()

    def taken(stage: Stage) -> Any:
        name = "reports" if not stage.loaded.vlm.adapter() else "boxes"
        pairs[name] = stage.items
        return clock.around(name, plain)(stage)

    both: Any = Stage
    both._take = taken
    train(
        recipe_path, [*QUICK, f"data.folder={folder / 'data'}", "caption.epochs=2", "grounding.epochs=2"], folder, print
    )
    share = studies / (STUDIES * 0.9)
    parts: dict[str, CosinePart] = {"reports": recipe.caption, "boxes": recipe.grounding}
    steps = {name: round(part.epochs * pairs[name] * share / part.batch) for name, part in parts.items()}
    steps |= {"vision": sizes.vision.schedule.steps, "language": sizes.language.schedule.steps}
    seconds = {name: clock.median(name) for name in steps}
    minutes = {name: round(seconds[name] * steps[name] / 60, 1) for name in steps}
    return {
        "s_step": {name: round(value, 3) for name, value in seconds.items()},
        "steps": steps,
        "minutes_one_core": minutes | {"all": round(sum(minutes.values()), 1)},
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="a recipe with `scratch`")
    parser.add_argument("--studies", type=int, default=7561, help="training studies that steps are counted for")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(asked.recipe, read_recipe_of(PfmvgRecipe, asked.recipe), asked.studies, Path(folder))
    asked.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
