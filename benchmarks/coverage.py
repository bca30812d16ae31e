"""How often the 95 % intervals hold the truth, on simulated test sets whose truth is known.

    OMP_NUM_THREADS=1 python benchmarks/coverage.py --json out.json

A simulated patient has one to eight phrases, and the more the worse (the number of phrases tells of their IoU, as
sicker patients have more findings and harder ones). IoU of phrases of one patient go together (intra-class correlation
0.4 on the normal scale). One phrase in eight is missed altogether; the IoU of the others has a beta distribution. A
second model is a little better on the same phrases. The truth is an integral, not another simulation.

``coverage`` is that of the figure whose coverage is furthest from 0.95, with 167 patients; ``figures`` has all of them,
``percentile`` the same data sets' plain percentile intervals for comparison, and ``by_patients`` smaller test sets.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from scipy import special, stats

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.intervals import LEVEL, RESAMPLES, Estimate, cluster_totals, paired_difference, resample
from knowmvg.evaluation.localisation import Scores, localise
from knowmvg.evaluation.metrics import THRESHOLDS
from knowmvg.evaluation.metrics.boxes import dice_of

PATIENTS, DATA_SETS = 167, 1000
SMALLER = (80, 40, 20, 10)
MOST, MEAN_EXTRA = 8, 0.9  # phrases a patient: 1 + Poisson(MEAN_EXTRA), cut at MOST
HARDER, BETTER = 0.15, 0.12  # normal scale: each further phrase of a patient, the second model
TOGETHER, ALIKE = 0.4, 0.8  # correlations: phrases of a patient, models on a phrase
MISSED = 0.12
NAMES = ("miou", *(f"acc@{t:g}" for t in THRESHOLDS), "difference")


def iou_at(level: FloatArray) -> FloatArray:
    """IoU from a standard normal level."""
    share = (special.ndtr(level) - MISSED) / (1 - MISSED)
    return np.where(share <= 0, 0.0, stats.beta.ppf(np.clip(share, 0, 1), 1.6, 1.4))


def figures_of(ious: FloatArray, better: FloatArray) -> FloatArray:
    """The numbers of each phrase, ``[n, 5]``, in the order of ``NAMES``."""
    return np.stack([ious, *(ious >= t for t in THRESHOLDS), better - ious], axis=-1)


def truth() -> FloatArray:
    """What a test set of all patients would give, by quadrature over the level and the number of phrases."""
    sizes = np.arange(1, MOST + 1)
    weights = sizes * size_odds()
    level = np.linspace(-8, 8, 40_001)
    density = stats.norm.pdf(level) / stats.norm.pdf(level).sum()
    means = [
        density @ figures_of(iou_at(level + shift), iou_at(level + shift + BETTER)) for shift in -HARDER * (sizes - 1)
    ]
    return np.asarray(weights @ np.array(means) / weights.sum())


def size_odds() -> FloatArray:
    """Probability of 1 to ``MOST`` phrases."""
    odds = stats.poisson.pmf(np.arange(MOST), MEAN_EXTRA)
    return np.asarray(odds / odds.sum())


def draw(rng: np.random.Generator, patients: int) -> tuple[FloatArray, FloatArray, list[str]]:
    """IoU of both models on the phrases of so many patients, and the patient of each phrase."""
    sizes = rng.choice(np.arange(1, MOST + 1), p=size_odds(), size=patients)
    patient = np.repeat(np.arange(patients), sizes)
    shift = -HARDER * (sizes - 1)[patient]

    def levels() -> FloatArray:
        shared, own = rng.normal(size=patients)[patient], rng.normal(size=len(patient))
        return np.asarray(np.sqrt(TOGETHER) * shared + np.sqrt(1 - TOGETHER) * own)

    first, other = levels(), levels()
    second = ALIKE * first + np.sqrt(1 - ALIKE**2) * other
    return iou_at(first + shift), iou_at(second + shift + BETTER), [f"p{k:04d}" for k in patient]


def intervals(ious: FloatArray, better: FloatArray, patients: list[str], seed: int) -> FloatArray:
    """The package's intervals ``[5, 2]``; NaN where it gives none."""
    hits = [ious >= t for t in THRESHOLDS]
    scores = Scores(np.stack([ious, *hits, ious, dice_of(ious)], axis=1), patients, ious > 0)
    micro, _, _ = localise(scores, ["all"] * len(ious), seed=seed)
    found = [micro.miou, *micro.acc.values(), paired_difference(better, ious, patients, seed=seed)]
    return np.array([ends(estimate) for estimate in found], dtype=np.float64)


def ends(estimate: Estimate | None) -> tuple[float | None, float | None]:
    """Low and high."""
    return (None, None) if estimate is None else (estimate.low, estimate.high)


def percentiles(ious: FloatArray, better: FloatArray, patients: list[str], seed: int) -> FloatArray:
    """Plain percentile intervals ``[5, 2]``."""
    table = np.concatenate([figures_of(ious, better), np.ones((len(ious), 1))], axis=1)
    sums = resample(cluster_totals(table, patients), seed=seed)
    return np.percentile(sums[:, :-1] / sums[:, -1:], [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=0).T


def measure(patients: int, data_sets: int) -> dict[str, dict[str, dict[str, float]]]:
    """Coverage of both kinds of interval by figure, the shares missed on either side, and the mean widths."""
    rng, right = np.random.default_rng(patients), truth()
    kinds = {"figures": intervals, "percentile": percentiles}
    found = {kind: np.empty((data_sets, len(NAMES), 2)) for kind in kinds}
    for number in range(data_sets):
        data = draw(rng, patients)
        for kind, method in kinds.items():
            found[kind][number] = method(*data, number)
    return {kind: _shares(both, right) for kind, both in found.items()}


def _shares(found: FloatArray, right: FloatArray) -> dict[str, dict[str, float]]:
    low, high = found[:, :, 0], found[:, :, 1]
    rows = {
        "coverage": ((low <= right) & (right <= high)).mean(axis=0),
        "too_high": (low > right).mean(axis=0),
        "too_low": (high < right).mean(axis=0),
        "width": (high - low).mean(axis=0),
    }
    return {name: {row: round(float(rows[row][k]), 4) for row in rows} for k, name in enumerate(NAMES)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="file to write the figures to")
    parser.add_argument("--data-sets", type=int, default=DATA_SETS, help=f"simulated test sets ({DATA_SETS})")
    parser.add_argument("--also", type=int, nargs="*", default=SMALLER, help=f"other numbers of patients ({SMALLER})")
    arguments = parser.parse_args()
    main_size = measure(PATIENTS, arguments.data_sets)
    worst = max((row["coverage"] for row in main_size["figures"].values()), key=lambda c: abs(c - LEVEL))
    by_patients = {str(n): measure(n, arguments.data_sets) for n in arguments.also}
    for n, kinds in {str(PATIENTS): main_size, **by_patients}.items():
        for kind, rows in kinds.items():
            shown = "  ".join(f"{name} {row['coverage']:.3f}" for name, row in rows.items())
            print(f"{n:>4} patients  {kind:10}  {shown}")
    result = {"coverage": worst, **main_size, "by_patients": by_patients}
    result |= {"patients": PATIENTS, "data_sets": arguments.data_sets, "resamples": RESAMPLES}
    result |= {"truth": dict(zip(NAMES, truth().round(4).tolist(), strict=True))}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    part = arguments.json.with_name(arguments.json.name + ".part")
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(part, arguments.json)


if __name__ == "__main__":
    main()
