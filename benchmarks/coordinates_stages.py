"""The stages of PFMVG apart (its Tables 3 and 4): ``python benchmarks/coordinates_stages.py --json OUT``.

Trains a recipe (``--recipe``) in four rows: without a stage, with stage 2 alone, with stage 1 alone, with both, for
each of ``--seeds``; a row that was trained before (``--runs``) is not trained again, and that with both is the recipe
itself, as ``knowmvg leaderboard`` trains it. All rows share vision encoder and language model, those of a seed its
stage 1 too. Every row is asked for the phrases of the split ``--split``, phrases given and their number of boxes not,
held to the form; then once more as it likes.

Keys of ``rows.ROW``: ``iou`` and ``dice`` by finding, ``mean`` of the findings and ``weighted`` by their counts, seeds
averaged, a phrase without a valid box counting 0; ``interval`` of the weighted IoU over patients; ``seeds`` (its value
of each seed); ``minus_both`` with interval, paired by phrase with the last row; ``valid`` and ``valid_free``, the
shares of answers that parse, held and not. ``published`` are the rows of the paper, on MS-CXR: not the same task.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from knowmvg.core.grounder import Query
from knowmvg.evaluation.intervals import Estimate, mean_interval, paired_difference
from knowmvg.evaluation.metrics import phrase_iou
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.device import device_or_best
from knowmvg.grounders.store import load_grounder
from knowmvg.interfaces.cli.ablate import trained_run
from knowmvg.sources.manifest import StudyRow, load_study, read_rows
from knowmvg.training.coordinates.recipe import PfmvgRecipe
from knowmvg.training.recipe import read_recipe_of

RECIPE = Path(__file__).parents[1] / "recipes" / "pfmvg-demo.yaml"
ROWS = {
    "none": ["caption.epochs=0", "grounding.epochs=0"],
    "stage-2": ["caption.epochs=0"],
    "stage-1": ["grounding.epochs=0"],
    "both": [],
}
PUBLISHED = {  # mean and weighted IoU, mean and weighted Dice of Tables 3 and 4
    "none": (0.101, 0.101, 0.164, 0.163),
    "stage-2": (0.357, 0.374, 0.469, 0.488),
    "stage-1": (0.006, 0.016, 0.012, 0.031),
    "both": (0.377, 0.407, 0.513, 0.544),
}


class Asked:
    """The placed phrases of a split: finding and patient of each, overlaps of a model's answers and how many parse."""

    def __init__(self, folder: Path, split: str, studies: int | None) -> None:
        found = [row for row in read_rows(folder, split) if any(phrase.boxes for phrase in row.phrases)]
        self.folder, self.rows = folder, found[:studies]
        placed = [(row, phrase) for row in self.rows for phrase in row.phrases if phrase.boxes]
        self.patients = [row.patient for row, _ in placed]
        self.findings = [phrase.finding or "other" for _, phrase in placed]

    def overlaps(self, grounder: CoordinateGrounder) -> tuple[list[float], float]:
        """IoU of each phrase, and the share of answers that parse."""
        values, valid = list[float](), list[bool]()
        for start in range(0, len(self.rows), grounder.batch_size):
            for iou, parsed in self._batch(grounder, self.rows[start : start + grounder.batch_size]):
                values.append(iou)
                valid.append(parsed)
        return values, float(np.mean(valid))

    def _batch(self, grounder: CoordinateGrounder, rows: Sequence[StudyRow]) -> list[tuple[float, bool]]:
        studies = [load_study(self.folder, row) for row in rows]
        labels = [[label for label in study.labels if len(label.boxes)] for study in studies]
        answers = grounder.answers(studies, [[Query(label.phrase) for label in row] for row in labels])
        return [
            (phrase_iou(answer.boxes, label.boxes), answer.valid)
            for row, said in zip(labels, answers, strict=True)
            for label, answer in zip(row, said, strict=True)
            if answer is not None
        ]


def figures(seeds: list[list[float]], both: list[list[float]], asked: Asked) -> dict[str, Any]:
    """A row's figures, from the overlaps of its seeds and of those of the whole model."""
    values, whole = np.mean(seeds, axis=0), np.mean(both, axis=0)
    dice = np.mean([2 * np.array(seed) / (1 + np.array(seed)) for seed in seeds], axis=0)
    names = sorted(set(asked.findings))
    of = {name: np.array([finding == name for finding in asked.findings]) for name in names}
    found: dict[str, Any] = {}
    for measure, each in (("iou", values), ("dice", dice)):
        by_finding = {name: round(float(each[of[name]].mean()), 4) for name in names}
        found[measure] = by_finding | {
            "mean": round(float(np.mean([each[of[name]].mean() for name in names])), 4),
            "weighted": round(float(each.mean()), 4),
        }
    found["interval"] = _ends(mean_interval(values, asked.patients, share=True))
    found["seeds"] = [round(float(np.mean(seed)), 4) for seed in seeds]
    if seeds is not both:
        gap = paired_difference(values, whole, asked.patients)
        found["minus_both"] = {"value": round(float((values - whole).mean()), 4), "interval": _ends(gap)}
    return found


def _ends(estimate: Estimate | None) -> list[float] | None:
    """The interval of an estimate, where there are patients enough for one."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    return [round(estimate.low, 4), round(estimate.high, 4)]


def main() -> None:
    """Train, ask, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="a recipe with `scratch`")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs and shared parts")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each row")
    parser.add_argument("--split", default="test", help="whom to ask")
    parser.add_argument("--studies", type=int, help="at most so many studies; all without")
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE", help="values that replace the recipe's")
    given = parser.parse_args()
    shared = read_recipe_of(PfmvgRecipe, given.recipe, given.keys)
    overlaps, valid = dict[str, list[list[float]]](), dict[str, list[tuple[float, float]]]()
    asked: Asked | None = None
    for name, off in ROWS.items():
        overlaps[name], valid[name] = [], []
        for seed in range(given.seeds):
            title = shared.name if name == "both" else f"{shared.name}-{name}"
            run = trained_run(given.recipe, [*given.keys, *off], given.runs, title, seed)
            asked = asked or Asked(shared.data.folder, given.split, given.studies)
            grounder = load_grounder(run / "model", device_or_best(None))
            assert isinstance(grounder, CoordinateGrounder)
            values, held = asked.overlaps(grounder)
            _, free = asked.overlaps(grounder.with_options(constrained=False, expected=False))
            overlaps[name].append(values)
            valid[name].append((held, free))
            print(f"{run.name}: {np.mean(values):.3f}, valid {held:.3f} and {free:.3f}", flush=True)
    assert asked is not None
    results: dict[str, Any] = {"phrases": len(asked.findings), "patients": len(set(asked.patients)), "rows": {}}
    for name, seeds in overlaps.items():
        results["rows"][name] = figures(seeds, overlaps["both"], asked) | {
            "valid": round(float(np.mean([held for held, _ in valid[name]])), 4),
            "valid_free": round(float(np.mean([free for _, free in valid[name]])), 4),
        }
    told = ("iou_mean", "iou_weighted", "dice_mean", "dice_weighted")
    results["published"] = {name: dict(zip(told, values, strict=True)) for name, values in PUBLISHED.items()}
    results["threads"] = torch.get_num_threads()
    given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
