"""The result of a robustness test: ``robustness.json`` and ``robustness.md``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from knowmvg.core.records import DISCLAIMER
from knowmvg.evaluation.evaluate import row_dict
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.robustness.rows import ChangeRow, DenialRow, EvidenceRow, SideRow
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.tables import NOTE, Cell, Row, Table, TableRow, main_table

AnyRow: TypeAlias = ChangeRow | SideRow | DenialRow | EvidenceRow
R = TypeVar("R", ChangeRow, SideRow, DenialRow, EvidenceRow)

SCHEMA = "knowmvg.robustness/1"
COUNTS = ("left out", "phrases", "patients")

IMAGES = """The image is changed and its boxes go with it. Cropped boxes are cut; a phrase of which a box keeps less
than a quarter of its area is left out. The box of a turned region is the upright box round the turned box, which is
larger: "old size" is the IoU that the reference itself would reach at its old size. The findings are still there: a
difference below 0 is what the change costs; "same place" is the IoU with the model's own answer to the unchanged
image, carried along."""
WORDING = """The placed phrases are written in other words of the simulator's grammar that the report reader understands
alike; the box should stay."""
SIDES = """Left and right are exchanged in report and phrase, and the report now contradicts the image. A model that
follows the word puts the box on the other side (crossed near 1, mirrored above original); one that does not read the
word, or trusts the image, leaves it (crossed near 0). Neither is right: crossed near 1 together with a blank-image
control near the model says that the image is hardly read. Mirrored means about the image's middle."""
DENIALS = """The report denies what the image shows. The share of phrases with a box should fall to 0 in generate. In
phrase_given the denied phrase itself is asked for, and a model that never refuses shows 1."""
EVIDENCE = """The same phrase is asked again without what the answer rests on, and without as much else. Evidence that
the box hangs on moves it further than its comparison does: "minus comparison" is clearly below 0. Near 0, the evidence
is decoration. A model that saw something in the answered region lowers its score when that is painted over."""


@dataclass(frozen=True, slots=True)
class Robustness:
    """All rows of a robustness test. ``notes`` say what was left out and why."""

    name: str
    seed: int
    resamples: int
    controls: tuple[Row, ...]
    images: tuple[ChangeRow, ...]
    wording: tuple[ChangeRow, ...]
    sides: tuple[SideRow, ...]
    denials: tuple[DenialRow, ...]
    evidence: tuple[EvidenceRow, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, without NaN."""
        parts: dict[str, Sequence[AnyRow]] = {
            "images": self.images,
            "wording": self.wording,
            "sides": self.sides,
            "denials": self.denials,
            "evidence": self.evidence,
        }
        return {
            "schema": SCHEMA,
            "notice": DISCLAIMER,
            "model": self.name,
            "seed": self.seed,
            "resamples": self.resamples,
            "controls": [row_dict(row) for row in self.controls],
            **{name: [row.model_dump(mode="json") for row in rows] for name, rows in parts.items()},
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """``to_dict`` as strict, indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def tables(self) -> list[tuple[Table, str]]:
        """Each table with the words that say how to read it; no table holds rows of two protocols."""
        found = [(main_table(self.controls), NOTE)]
        found += [(_images(rows), IMAGES) for rows in _by_protocol(self.images)]
        found += [(_wording(rows), WORDING) for rows in _by_protocol(self.wording)]
        found += [(_sides(rows), SIDES) for rows in _by_protocol(self.sides)]
        found += [(_denials(rows), DENIALS) for rows in _by_protocol(self.denials)]
        found += [(_evidence(rows), EVIDENCE) for rows in _by_protocol(self.evidence)]
        return found

    def to_markdown(self) -> str:
        """The tables, each with how to read it, and the notes."""
        blocks = [f"# Robustness of {self.name}\n", f"{DISCLAIMER}\n"]
        for words, group in groupby(self.tables(), key=lambda pair: pair[1]):
            blocks += [*(table.to_markdown() for table, _ in group), f"{words}\n"]
        return "\n".join([*blocks, *(f"Note: {note}\n" for note in self.notes)])

    def write(self, folder: Path) -> None:
        """Write ``robustness.md`` and, last, ``robustness.json``; each whole or not at all.

        Raises ``OutputError`` where the folder cannot be written.
        """
        write_text(folder / "robustness.md", self.to_markdown())
        write_text(folder / "robustness.json", self.to_json())


def _by_protocol(rows: Sequence[R]) -> list[list[R]]:
    """Rows in groups of one protocol, in the order in which those come first."""
    groups: dict[Protocol, list[R]] = {}
    for row in rows:
        groups.setdefault(row.protocol, []).append(row)
    return list(groups.values())


def _table(title: str, header: Sequence[str], rows: Sequence[tuple[AnyRow, tuple[Cell, ...]]]) -> Table:
    lines = [
        TableRow(row.protocol, (row.name, *cells, row.n_left_out, row.n_phrases, row.n_patients)) for row, cells in rows
    ]
    return Table(title, lines[0].protocol, ("row", *header, *COUNTS), tuple(lines))


def _images(rows: Sequence[ChangeRow]) -> Table:
    header = ("strength", *_PAIRED, "same place", "old size", "boxes lost")
    cells = [(r, (r.strength, *_paired(r), r.same_place, r.old_size, r.boxes_lost)) for r in rows]
    return _table("Changed images", header, cells)


def _wording(rows: Sequence[ChangeRow]) -> Table:
    return _table("Changed words", (*_PAIRED, "same place"), [(r, (*_paired(r), r.same_place)) for r in rows])


_PAIRED = ("mIoU", "unchanged", "difference", "acc@0.5 difference")


def _paired(row: ChangeRow) -> tuple[Cell, ...]:
    return row.changed, row.plain, row.drop, row.hit_drop


def _sides(rows: Sequence[SideRow]) -> Table:
    header = ("crossed", "mIoU unchanged", "with original", "with mirrored", "mirrored minus original", "lost its box")
    return _table(
        "Exchanged sides",
        header,
        [(r, (r.crossed, r.plain, r.original, r.mirrored, r.mirrored_gain, r.n_without_box)) for r in rows],
    )


def _denials(rows: Sequence[DenialRow]) -> Table:
    header = ("with a box when stated", "with a box when denied", "difference")
    return _table("Denied findings", header, [(r, (r.stated, r.denied, r.change)) for r in rows])


def _evidence(rows: Sequence[EvidenceRow]) -> Table:
    header = ("same place", "score change", "mIoU change", "compared with", "minus comparison")
    return _table(
        "Evidence taken away",
        header,
        [(r, (r.same_place, r.score_change, r.iou_change, r.comparison, r.minus_comparison)) for r in rows],
    )
