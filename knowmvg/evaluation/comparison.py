"""Models compared phrase by phrase on the same patients, from the samples that ``knowmvg evaluate`` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict

from knowmvg.core.boxes import FloatArray
from knowmvg.core.errors import RecipeError
from knowmvg.core.records import DISCLAIMER
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.intervals import RESAMPLES, Difference, cluster_totals, paired_difference
from knowmvg.evaluation.localisation import COLUMNS
from knowmvg.evaluation.metrics import THRESHOLD_NAMES
from knowmvg.evaluation.pairing import check_alone, in_same_order
from knowmvg.evaluation.permutation import holm, sign_flip_p
from knowmvg.evaluation.power import SIGNIFICANCE, detectable_difference
from knowmvg.evaluation.samples import Protocol, Sample
from knowmvg.evaluation.summary import UNNAMED, scores_of
from knowmvg.evaluation.tables import Table, TableRow

SCHEMA = "knowmvg.comparison/1"
_NAMES = ("mIoU", *(f"acc@{t}" for t in THRESHOLD_NAMES), "union IoU", "Dice")
METRICS = dict(zip(_NAMES, range(len(COLUMNS)), strict=True))
USUAL = _NAMES[:-2]
MACRO = "macro "
"""Before a metric's name: the mean over findings of the mean over their phrases."""
NOTE = (
    "Differences are paired by phrase, with 95 % bootstrap intervals and p-values over patients, not corrected. p sign "
    "flip: permutation test over patients. p Holm: the same, corrected for all tests of the table. Detectable: the "
    "smallest true difference that such patients show four times in five in one uncorrected test; where it is large, "
    "finding no difference says little."
)

Files: TypeAlias = Mapping[str, Sequence[Sample]]
"""Samples by the name under which they are compared, in order."""


class PairedTest(BaseModel):
    """One metric of one model against the first model's.

    ``difference`` is ``value - first_value`` with interval, bootstrap p-value and detectable difference;
    ``p_sign_flip`` is that of the permutation test and ``p_holm`` the same corrected for all tests that were made;
    ``detectable_in_family`` is the detectable difference of a test at the level divided by their number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    metric: str
    first_value: float
    value: float
    difference: Difference | None
    p_sign_flip: float | None
    p_holm: float | None
    detectable_in_family: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All tests of some models against the first of them."""

    first: str
    protocol: Protocol
    n_phrases: int
    n_patients: int
    seed: int
    tests: tuple[PairedTest, ...]

    def table(self) -> Table:
        """A line a model and metric."""
        header = ("compared", "metric", "first", "this", "difference", "p sign flip", "p Holm", "detectable")
        lines = [
            TableRow(
                self.protocol,
                (
                    test.name,
                    test.metric,
                    f"{test.first_value:.3f}",
                    f"{test.value:.3f}",
                    test.difference,
                    _short(test.p_sign_flip, ".2g"),
                    _short(test.p_holm, ".2g"),
                    _short(test.difference.detectable if test.difference else None, ".3f"),
                ),
            )
            for test in self.tests
        ]
        title = f"Against {self.first}, {self.n_phrases} phrases of {self.n_patients} patients"
        return Table(title, self.protocol, header, tuple(lines))

    def to_markdown(self) -> str:
        """The table and what its columns mean."""
        return f"# Comparison\n\n{self.table().to_markdown()}\n{NOTE}\n"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, without NaN."""
        return {
            "schema": SCHEMA,
            "first": self.first,
            "protocol": self.protocol.value,
            "n_phrases": self.n_phrases,
            "n_patients": self.n_patients,
            "seed": self.seed,
            "tests": [test.model_dump(mode="json") for test in self.tests],
            "notice": DISCLAIMER,
        }

    def write(self, folder: Path) -> list[Path]:
        """Write ``comparison.md`` and ``comparison.json``, each whole or not at all."""
        page, data = folder / "comparison.md", folder / "comparison.json"
        write_text(page, f"{self.to_markdown()}\n{DISCLAIMER}\n")
        write_text(data, json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return [page, data]


def compare(files: Files, *, metrics: Sequence[str] = USUAL, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Test each model against the first one on the same phrases.

    Args:
        files: the samples of each model, the one that the others are compared with first.
        metrics: names among ``METRICS``, or such a name after ``macro``. Each is a further test, so that those that
            matter are best named beforehand.
        resamples: of the bootstrap.
        seed: of the bootstrap and of the permutations.

    Raises:
        ManifestError: samples of other phrases, reference boxes, patients or of another protocol than the first file's.
        RecipeError: fewer than two models, or an unknown metric.
    """
    if len(files) < 2:
        raise RecipeError("two files of samples or more", f"{len(files)}", "Name those to compare.")
    chosen = list(dict.fromkeys(metrics))
    if not chosen or not {metric.removeprefix(MACRO) for metric in chosen} <= METRICS.keys():
        known = f"metrics among {', '.join(METRICS)}, alone or after '{MACRO.strip()}'"
        raise RecipeError(known, ", ".join(chosen) or "none", "Name some of these.")
    (first, reference), *others = files.items()
    check_alone(first, reference)
    patients = [sample.patient for sample in reference]
    base = _columns(reference, chosen)
    tables = {name: _columns(in_same_order(name, own, first, reference), chosen) for name, own in others}
    flips = [p for own in tables.values() for p in sign_flip_p(cluster_totals(own - base, patients), seed=seed)]
    corrected = holm(flips)
    tests: list[PairedTest] = []
    for name, own in tables.items():
        for c, metric in enumerate(chosen):
            place = len(tests)
            difference = paired_difference(own[:, c], base[:, c], patients, resamples=resamples, seed=seed)
            tests.append(
                PairedTest(
                    name=name,
                    metric=metric,
                    first_value=float(base[:, c].mean()),
                    value=float(own[:, c].mean()),
                    difference=difference,
                    p_sign_flip=flips[place],
                    p_holm=corrected[place],
                    detectable_in_family=_strict(own[:, c] - base[:, c], patients, len(flips)),
                )
            )
    return Comparison(first, reference[0].protocol, len(reference), len(set(patients)), seed, tuple(tests))


def _columns(samples: Sequence[Sample], metrics: Sequence[str]) -> FloatArray:
    """Numbers ``[n, metrics]`` whose means over phrases are the metrics.

    In those of a macro metric a phrase weighs in inverse proportion to its finding's number of phrases, which is the
    same for all models; the intervals take the findings' shares as fixed.
    """
    table = scores_of(samples).table
    _, place, counts = np.unique([s.finding or UNNAMED for s in samples], return_inverse=True, return_counts=True)
    weights = len(samples) / (len(counts) * counts[place])
    columns = [table[:, METRICS[m.removeprefix(MACRO)]] * (weights if m.startswith(MACRO) else 1.0) for m in metrics]
    return np.stack(columns, axis=1)


def _strict(gaps: FloatArray, patients: Sequence[str], tests: int) -> float | None:
    totals = cluster_totals(np.stack([gaps, np.ones_like(gaps)], axis=1), patients)
    return detectable_difference(totals, significance=SIGNIFICANCE / tests)


def _short(number: float | None, form: str) -> str | None:
    return None if number is None else f"{number:{form}}"
