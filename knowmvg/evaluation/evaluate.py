"""The whole evaluation of a model: each protocol with its controls, to numbers, tables and files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowmvg.core.grounder import Grounder
from knowmvg.core.records import Study
from knowmvg.evaluation.controls import CLASS_MEAN_BOX, MEAN_BOX, TEXT_ORACLE, MeanBox, Shuffled, blank
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.finding_columns import FindingColumns, column_table, finding_columns
from knowmvg.evaluation.intervals import RESAMPLES, Difference, paired_difference
from knowmvg.evaluation.naming import Reader
from knowmvg.evaluation.nearest_phrase import NearestPhrase
from knowmvg.evaluation.protocol import Result, View, as_is, run
from knowmvg.evaluation.samples import Protocol, Sample, in_order_of, write_samples
from knowmvg.evaluation.score_table import score_table
from knowmvg.evaluation.strata import Stratum, strata_note, strata_table, stratify
from knowmvg.evaluation.studies import Progress, Studies, labels_of
from knowmvg.evaluation.summary import summarise
from knowmvg.evaluation.tables import NOTE, Row, Table, calibration_line, finding_table, main_table
from knowmvg.evaluation.wording import findings_in, phrase_texts

SCHEMA = "knowmvg.metrics/1"
PRIORS = {
    "mean box": MEAN_BOX,
    "class-mean box": CLASS_MEAN_BOX,
    "text-only oracle": TEXT_ORACLE,
}
NEAREST, SHUFFLED, BLANK = "nearest training phrase", "shuffled report and phrase", "blank image"


@dataclass(frozen=True, slots=True)
class Part:
    """One protocol: the model's row and its controls, and the model's samples with their strata."""

    protocol: Protocol
    rows: tuple[Row, ...]
    samples: tuple[Sample, ...]
    strata: tuple[Stratum, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All numbers of a model. ``notes`` say what was left out and why."""

    name: str
    seed: int
    resamples: int
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    def part(self, protocol: Protocol | str) -> Part:
        """The numbers of one protocol. Raises ``KeyError`` where it was not evaluated."""
        for part in self.parts:
            if part.protocol == protocol:
                return part
        raise KeyError(f"expected one of {[part.protocol.value for part in self.parts]}, got {protocol}")

    def to_dict(self) -> dict[str, Any]:
        """Everything but the samples as plain data, without NaN."""
        return {
            "schema": SCHEMA,
            "model": self.name,
            "seed": self.seed,
            "resamples": self.resamples,
            "protocols": {part.protocol.value: [row_dict(row) for row in part.rows] for part in self.parts},
            "strata": {part.protocol.value: [s.model_dump(mode="json") for s in part.strata] for part in self.parts},
            "notes": list(self.notes),
        }

    def further_tables(self) -> list[Table]:
        """For each protocol the model's further metrics, IoU and Dice in columns, its figures by kind of phrase."""
        tables = []
        for part in self.parts:
            tables.append(score_table(part.rows[0]))
            if part.samples:
                columns = self.finding_columns(part)
                tables += [column_table([columns], "IoU"), column_table([columns], "Dice")]
            if part.strata:
                tables.append(strata_table(part.rows[0].name, part.samples, part.strata))
        return tables

    def finding_columns(self, part: Part) -> FindingColumns:
        """The model's IoU and Dice by finding under a protocol. Raises ``ValueError`` for a part without samples."""
        return finding_columns(self.name, part.samples, resamples=self.resamples, seed=self.seed)

    def to_json(self) -> str:
        """``to_dict`` as strict, indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """For each protocol the table of model and controls and the model's tables by finding and kind of phrase."""
        blocks = [f"# Evaluation of {self.name}\n", f"{NOTE}\n"]
        for part in self.parts:
            blocks += [main_table(part.rows).to_markdown(), f"{calibration_line(part.rows[0])}\n"]
            blocks.append(finding_table(part.rows[0]).to_markdown())
            blocks.append(score_table(part.rows[0]).to_markdown())
            if part.strata:
                table = strata_table(part.rows[0].name, part.samples, part.strata)
                blocks += [table.to_markdown(), f"{strata_note(part.strata)}\n"]
        return "\n".join([*blocks, *(f"Note: {note}\n" for note in self.notes)])

    def write(self, folder: Path) -> None:
        """Write ``samples-<protocol>.jsonl``, ``tables.md`` and, last, ``metrics.json``; each whole or not at all."""
        for part in self.parts:
            write_samples(folder / f"samples-{part.protocol.value}.jsonl", part.samples)
        write_text(folder / "tables.md", self.to_markdown())
        write_text(folder / "metrics.json", self.to_json())


@dataclass(frozen=True, slots=True)
class _Control:
    """A row to compute: who answers, what it sees, and whether it is told the phrases."""

    name: str
    grounder: Grounder
    view: View = as_is
    oracle: bool = False


def evaluate(
    grounder: Grounder,
    studies: Studies,
    *,
    training_studies: Studies | None,
    protocols: Sequence[Protocol | str] = tuple(Protocol),
    controls: bool = True,
    replayed: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    reader: Reader | None = None,
    batch_size: int = 16,
    resamples: int = RESAMPLES,
    name: str = "model",
) -> Evaluation:
    """Evaluate a model on labelled studies.

    Args:
        grounder: the model.
        studies: the test studies, one pass over them a row and protocol.
        training_studies: where the priors are learned, and whose phrases count as seen; ``None`` leaves both out, and
            the evaluation says so.
        protocols: how to ask; each has its own tables.
        controls: compute the control rows too (the model runs three times instead of once).
        replayed: the model answers from a file and cannot be asked anew: the control rows that ask it are left out.
        seed: of the shuffling and the bootstrap.
        progress: told stage, studies done and their number.
        reader: tells finding and side of generated phrases that come without, for false boxes.
        batch_size: studies asked at once.
        resamples: of the bootstrap.
        name: the model's name in tables.

    Raises:
        ManifestError: two studies with the same identifier.
        ModelError: an answer that breaks the ``Grounder`` contract.
        ValueError: an unknown protocol, or training studies without a box.
    """
    asked = [Protocol(protocol) for protocol in protocols]
    rows, notes = [_Control(name, grounder)], list[str]()
    learned = None if training_studies is None else labels_of(training_studies)  # one pass over the files
    known = None if learned is None else phrase_texts(learned)
    labelled = None if learned is None else findings_in(learned)
    if controls:
        found, notes = _controls(grounder, studies, learned, seed)
        rows += found
    if replayed:
        rows = [row for row in rows if row.view is as_is or row.grounder is not grounder]
    parts = []
    for protocol in asked:
        results = [
            run(
                protocol,
                row.grounder,
                studies,
                view=row.view,
                oracle=row.oracle,
                reader=reader,
                batch_size=batch_size,
                progress=progress,
                stage=f"{protocol.value}: {row.name}",
                known=known,
                labelled=labelled,
            )
            for row in rows
        ]
        table = tuple(_rows(rows, results, resamples, seed))
        strata = stratify(results[0].samples, resamples=resamples, seed=seed)
        parts.append(Part(protocol, table, results[0].samples, strata))
    return Evaluation(name, seed, resamples, tuple(parts), tuple(notes))


def priors_of(learned: Sequence[Study]) -> dict[str, Grounder]:
    """The controls that look at no image, by name; they answer from the labels of the training split.

    They are told the phrases: ask them with ``oracle=True``. Raises ``ValueError`` where no label has a box.
    """
    full = MeanBox.fit(learned, TEXT_ORACLE)
    means: dict[str, Grounder] = {name: full.with_fields(len(fields)) for name, fields in PRIORS.items()}
    return means | {NEAREST: NearestPhrase.fit(learned)}


def _controls(
    grounder: Grounder, studies: Studies, training_studies: Studies | None, seed: int
) -> tuple[list[_Control], list[str]]:
    """The control rows that the data allow, and a note for each that they do not."""
    rows, notes = [], []
    if training_studies is None:
        notes.append("No prior rows: no training studies were given.")
    else:
        rows += [_Control(name, prior, oracle=True) for name, prior in priors_of(labels_of(training_studies)).items()]
    try:
        rows.append(_Control(SHUFFLED, grounder, Shuffled(studies, seed)))
    except ValueError as error:
        notes.append(f"No shuffled row: {error}.")
    return [*rows, _Control(BLANK, grounder, blank)], notes


def _rows(controls: Sequence[_Control], results: Sequence[Result], resamples: int, seed: int) -> Iterator[Row]:
    for place, (control, result) in enumerate(zip(controls, results, strict=True)):
        summary = summarise(result, phrases_given=control.oracle, resamples=resamples, seed=seed)
        gap = _difference(result.samples, results[0].samples, resamples, seed) if place else None
        yield Row(control.name, summary, gap)


def _difference(own: Sequence[Sample], first: Sequence[Sample], resamples: int, seed: int) -> Difference | None:
    ious, others = [sample.iou for sample in in_order_of(own, first)], [sample.iou for sample in first]
    return paired_difference(ious, others, [sample.patient for sample in first], resamples=resamples, seed=seed)


def row_dict(row: Row) -> dict[str, Any]:
    """A row as plain data: its name, its difference from the first row, its summary."""
    gap = row.difference.model_dump(mode="json") if row.difference is not None else None
    return {"row": row.name, "minus_first": gap, **row.summary.model_dump(mode="json")}
