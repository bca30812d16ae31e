"""IoU and Dice with findings in columns: the layout of PFMVG's Tables 1 and 2 (He et al. 2024, arXiv 2410.23822).

The columns are the eight findings of MS-CXR that the data have, in the paper's order; data without any of them have
their own findings, the most frequent first. Behind them stand the plain mean over the findings and the mean weighted by
their numbers of phrases. A phrase without a box scores 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from knowmvg.evaluation.intervals import RESAMPLES, Estimate
from knowmvg.evaluation.localisation import localise
from knowmvg.evaluation.samples import Protocol, Sample, protocol_of
from knowmvg.evaluation.summary import UNNAMED, scores_of
from knowmvg.evaluation.tables import Table, TableRow

MS_CXR = (
    "pneumonia", "pneumothorax", "consolidation", "atelectasis", "edema", "cardiomegaly", "lung opacity",
    "pleural effusion",
)  # fmt: skip
MEAN, WEIGHTED = "mean", "weighted mean"

Measure: TypeAlias = Literal["IoU", "Dice"]


@dataclass(frozen=True, slots=True)
class FindingColumns:
    """A model's ``iou`` and ``dice`` by finding, and under ``MEAN`` and ``WEIGHTED`` their means over the findings.

    ``others`` counts the phrases of findings that have no column.
    """

    name: str
    protocol: Protocol
    findings: tuple[str, ...]
    iou: Mapping[str, Estimate | None]
    dice: Mapping[str, Estimate | None]
    n_phrases: int
    n_patients: int
    others: Mapping[str, int]

    def of(self, measure: Measure) -> Mapping[str, Estimate | None]:
        """The numbers of a measure."""
        return self.iou if measure == "IoU" else self.dice

    def numbers(self) -> dict[str, Estimate | None]:
        """Both measures by the names that published.yaml gives their columns: ``edema``, ``dice of edema``."""
        return {**self.iou, **{f"dice of {name}": found for name, found in self.dice.items()}}

    def note(self) -> str:
        """What the means are over, and what they leave out."""
        words = (
            f"Means over {len(self.findings)} findings, {self.n_phrases} phrases of {self.n_patients} patients; the "
            "weighted mean weighs each finding by its number of phrases, and a phrase without a box scores 0."
        )
        if not self.others:
            return words
        left = ", ".join(f"{name} {count}" for name, count in sorted(self.others.items()))
        return f"{words} In no column: phrases of other findings ({left})."


def finding_columns(
    name: str, samples: Sequence[Sample], *, resamples: int = RESAMPLES, seed: int = 0
) -> FindingColumns:
    """A model's numbers by finding, with 95 % intervals over patients. Raises ``ValueError`` without a sample."""
    counts = Counter(sample.finding or UNNAMED for sample in samples)
    findings = tuple(name for name in MS_CXR if name in counts)
    findings = findings or tuple(sorted(counts, key=lambda name: (-counts[name], name)))
    kept = [sample for sample in samples if (sample.finding or UNNAMED) in findings]
    groups = [sample.finding or UNNAMED for sample in kept]
    micro, macro, parts = localise(scores_of(kept), groups, resamples=resamples, seed=seed)
    return FindingColumns(
        name=name,
        protocol=protocol_of(samples),
        findings=findings,
        iou={**{f: parts[f].miou for f in findings}, MEAN: macro.miou, WEIGHTED: micro.miou},
        dice={**{f: parts[f].dice for f in findings}, MEAN: macro.dice, WEIGHTED: micro.dice},
        n_phrases=micro.n_phrases,
        n_patients=micro.n_patients,
        others={f: n for f, n in counts.items() if f not in findings},
    )


def column_table(rows: Sequence[FindingColumns], measure: Measure) -> Table:
    """A line a model, a column a finding. Raises ``ValueError`` for no model, or models on other findings."""
    if not rows or any(row.findings != rows[0].findings for row in rows):
        raise ValueError("expected models on the same findings")
    header = ("model", *rows[0].findings, MEAN, WEIGHTED)
    lines = [TableRow(row.protocol, (row.name, *(row.of(measure)[name] for name in header[1:]))) for row in rows]
    return Table(f"{measure} by finding, in columns", rows[0].protocol, header, tuple(lines))
