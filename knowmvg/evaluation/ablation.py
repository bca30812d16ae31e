"""The ablation in the layout of the paper's Table III, with what it lacks: intervals, seeds and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.intervals import RESAMPLES, mean_interval, paired_difference
from knowmvg.evaluation.metrics import THRESHOLD_NAMES
from knowmvg.evaluation.samples import Protocol, Sample, in_order_of, protocol_of, values
from knowmvg.evaluation.tables import Table, TableRow


@dataclass(frozen=True, slots=True)
class Ablation:
    """A variant and the samples of each of its seeds.

    ``kps``: with knowledge prompt selection; ``gla``: with global-local attention.

    Raises:
        ValueError: no run, runs of two protocols, or of different phrases.
    """

    name: str
    kps: bool
    gla: bool
    runs: tuple[Sequence[Sample], ...]

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError(f"expected at least one run of {self.name}, got none")
        ordered = tuple(tuple(in_order_of(run, self.runs[0])) for run in self.runs)
        object.__setattr__(self, "runs", ordered)

    @property
    def protocol(self) -> Protocol:
        """The protocol of all runs."""
        return protocol_of(self.runs[0])

    def per_phrase(self, order: Sequence[Sample]) -> FloatArray:
        """IoU and hits averaged over seeds ``[n, 1 + thresholds]``, phrases in the order of ``order``."""
        seeds = np.stack([values(in_order_of(run, order)) for run in self.runs])
        return np.asarray(seeds.mean(axis=0), dtype=np.float64)

    @property
    def seed_spread(self) -> float:
        """Greatest minus smallest mIoU of the seeds: what an interval over patients does not hold."""
        means = [values(run)[:, 0].mean() for run in self.runs]
        return float(max(means) - min(means))


def ablation_table(rows: Sequence[Ablation], *, resamples: int = RESAMPLES, seed: int = 0) -> Table:
    """A line a variant; ``mIoU minus first`` and ``acc@0.5 minus first`` are paired by phrase with the first line.

    Raises ``ValueError`` for no row, rows of two protocols, or of different phrases.
    """
    if not rows:
        raise ValueError("expected at least one variant, got none")
    accuracies = [f"acc@{t}" for t in THRESHOLD_NAMES]
    differences = ("mIoU minus first", f"{accuracies[-1]} minus first")
    header = ("variant", "KPS", "GLA", *accuracies, "mIoU", *differences, "seeds", "mIoU spread of seeds")
    order = rows[0].runs[0]
    if any(row.protocol != rows[0].protocol for row in rows):
        raise ValueError("expected variants of one protocol, got two")
    first, patients = rows[0].per_phrase(order), [sample.patient for sample in order]
    lines = []
    for place, row in enumerate(rows):
        own = row.per_phrase(order)
        intervals = [mean_interval(c, patients, resamples=resamples, seed=seed, share=True) for c in _columns(own)]
        gaps = [
            paired_difference(own[:, c], first[:, c], patients, resamples=resamples, seed=seed) if place else None
            for c in (0, -1)
        ]
        marks = (row.name, row.kps, row.gla)
        spread = f"{row.seed_spread:.3f}" if len(row.runs) > 1 else None
        lines.append(TableRow(row.protocol, (*marks, *intervals, *gaps, len(row.runs), spread)))
    return Table("Ablation (layout of Table III)", rows[0].protocol, header, tuple(lines))


def _columns(per_phrase: FloatArray) -> list[NDArray[np.float64]]:
    """The accuracies, then IoU: the order in which the paper prints them."""
    return [per_phrase[:, c] for c in (*range(1, per_phrase.shape[1]), 0)]
