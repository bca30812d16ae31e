"""The tables of a model's maps: beside the controls, and by finding, with intervals over patients."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from knowmvg.core.maps import MapKind
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.intervals import RESAMPLES, Estimate, bootstrap, cluster_totals, paired_difference, quotients
from knowmvg.evaluation.map_scores import SCORES, TWO_CLASS, MapSample, of_row
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.tables import Cell, Table, TableRow

SCHEMA = "knowmvg.maps/1"
SHOWN = ("cnr", "pointing", "auroc", "auprc", "miou_thr", TWO_CLASS)
COMPARED = "auprc"
_UNBOUNDED = ("cnr", "cnr_abs", "cnr_per_box")
NOTE = (
    "How well maps point at the reference boxes (docs/metrics.md defines each number). In brackets: 95 % bootstrap "
    "interval over patients. A map shows a computation and is no probability of disease (docs/evidence.md)."
)
STRETCHED = (
    "The maps of attention are stretched to their own range, 1 being the highest weight: miou_thr and miou_2cls, which "
    "have fixed thresholds, are not those of a map of probabilities."
)


@dataclass(frozen=True, slots=True)
class MapEvaluation:
    """The scores of one kind of map for a model and its controls, the model's row first."""

    name: str
    kind: MapKind
    samples: tuple[MapSample, ...]
    seed: int = 0
    resamples: int = RESAMPLES

    @property
    def rows(self) -> list[str]:
        """The names of the rows in their order."""
        return list(dict.fromkeys(sample.row for sample in self.samples))

    def tables(self) -> list[Table]:
        """Model and controls; and the model by finding, the most frequent first."""
        first = of_row(self.samples, self.rows[0]) if self.samples else []
        lines = [self._line(row, of_row(self.samples, row), first) for row in self.rows]
        header = ("row", *SHOWN, f"{COMPARED} minus first", "phrases", "patients")
        findings = sorted({s.finding for s in first}, key=lambda f: (-sum(s.finding == f for s in first), f))
        parts = [(finding, [s for s in first if s.finding == finding]) for finding in findings]
        return [
            Table(f"Maps ({self.kind}): model and controls", Protocol.PHRASE_GIVEN, header, tuple(lines)),
            Table(
                f"Maps ({self.kind}): {self.name}, by finding",
                Protocol.PHRASE_GIVEN,
                ("finding", *SHOWN, "phrases", "patients"),
                tuple(self._part(finding or "no finding named", part) for finding, part in parts),
            ),
        ]

    def to_markdown(self) -> str:
        """The tables with their note, and how many numbers were undefined."""
        blocks = [f"# Maps of {self.name}: {self.kind}\n", f"{NOTE}\n"]
        blocks += [f"{STRETCHED}\n"] if self.kind is MapKind.ATTENTION else []
        return "\n".join([*blocks, *(table.to_markdown() for table in self.tables()), *self._undefined()])

    def to_dict(self) -> dict[str, Any]:
        """Every score of every row and finding as plain data, without NaN."""
        rows = []
        for row in self.rows:
            own = of_row(self.samples, row)
            found = {f: [s for s in own if s.finding == f] for f in sorted({s.finding for s in own})}
            by_finding = {finding: self._plain(part) for finding, part in found.items()}
            rows.append({"row": row, **self._plain(own), "findings": by_finding})
        return {
            "schema": SCHEMA,
            "model": self.name,
            "kind": self.kind.value,
            "protocol": Protocol.PHRASE_GIVEN.value,
            "seed": self.seed,
            "resamples": self.resamples,
            "rows": rows,
        }

    def write(self, folder: Path) -> list[Path]:
        """Write ``maps-KIND.md`` and, last, ``maps-KIND.json``; each whole or not at all."""
        paths = [folder / f"maps-{self.kind}.md", folder / f"maps-{self.kind}.json"]
        write_text(paths[0], self.to_markdown())
        write_text(paths[1], json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return paths

    def _line(self, row: str, own: Sequence[MapSample], first: Sequence[MapSample]) -> TableRow:
        gap = None
        if row != self.rows[0]:
            pairs = [(a.scores[COMPARED], b.scores[COMPARED], a.patient) for a, b in zip(own, first, strict=True)]
            known = [pair for pair in pairs if np.isfinite(pair[:2]).all()]
            ours, theirs, patients = zip(*known, strict=True) if known else ((), (), ())
            gap = paired_difference(ours, theirs, patients, resamples=self.resamples, seed=self.seed)
        cells = self._cells(own)
        return TableRow(Protocol.PHRASE_GIVEN, (row, *cells[:-2], gap, *cells[-2:]))

    def _part(self, finding: str, samples: Sequence[MapSample]) -> TableRow:
        return TableRow(Protocol.PHRASE_GIVEN, (finding, *self._cells(samples)))

    def _cells(self, samples: Sequence[MapSample]) -> tuple[Cell, ...]:
        found = self.estimates(samples)
        return (*(found[name] for name in SHOWN), len(samples), len({s.patient for s in samples}))

    def estimates(self, samples: Sequence[MapSample]) -> dict[str, Estimate | None]:
        """The mean of each score over the phrases where it is defined and finite, with its interval over patients."""
        values = np.array([[s.scores[name] for name in SCORES] for s in samples]).reshape(-1, len(SCORES))
        defined = np.isfinite(values)
        table = np.stack([np.where(defined, values, 0.0), defined], axis=2).reshape(len(values), -1)
        totals = cluster_totals(table, [s.patient for s in samples])
        found = bootstrap(totals, quotients, resamples=self.resamples, seed=self.seed)
        return {name: found.estimate(k, share=name not in _UNBOUNDED) for k, name in enumerate(SCORES)}

    def _plain(self, samples: Sequence[MapSample]) -> dict[str, Any]:
        found = self.estimates(samples)
        scores = {name: one.model_dump(mode="json") if one is not None else None for name, one in found.items()}
        return {
            "n_phrases": len(samples),
            "n_patients": len({s.patient for s in samples}),
            "n_undefined": {name: n for name in SCORES if (n := _undefined(samples, name))},
            "scores": scores,
        }

    def _undefined(self) -> list[str]:
        told = []
        for row in self.rows:
            own = of_row(self.samples, row)
            missing = [f"{name} of {n}" for name in SHOWN if (n := _undefined(own, name))]
            if missing:
                told.append(
                    f"Note: undefined or infinite, and left out, in the row {row!r}: {', '.join(missing)} phrases.\n"
                )
        return told


def _undefined(samples: Sequence[MapSample], name: str) -> int:
    return sum(not np.isfinite(sample.scores[name]) for sample in samples)
