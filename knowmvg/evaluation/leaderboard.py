"""Models by their figures on one data set, several seeds each: a file that grows, and its tables.

A row's figures are those of all its seeds together; intervals are over patients and hold the seeds fixed, so that the
mIoU of each seed stands beside them. Rows of two protocols, or of two data sets, never share a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from knowmvg.core.errors import ManifestError
from knowmvg.core.records import DISCLAIMER
from knowmvg.evaluation.files import write_text
from knowmvg.evaluation.intervals import RESAMPLES, Estimate
from knowmvg.evaluation.protocol import Result
from knowmvg.evaluation.samples import Protocol, values
from knowmvg.evaluation.summary import summarise
from knowmvg.evaluation.tables import NOTE, Cell, Table, TableRow

SCHEMA: Literal["knowmvg.leaderboard/1"] = "knowmvg.leaderboard/1"
LIMIT = 32 * 2**20

EXPLAINED = (
    "Figures are those of all seeds together, with 95 % bootstrap intervals over patients; the seeds are held fixed in "
    "them, so the mIoU of each seed stands beside. Minutes: training of one seed, and in brackets with the parts that "
    "rows share. A control without seed draws nothing."
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Origin(_Record):
    """How the model of a seed came about: its seed, minutes, and the SHA-256 of its weights and of its run's recipe.

    ``minutes`` are those of its own training, ``minutes_in_all`` with the parts that it shares with other rows.
    """

    seed: int
    minutes: float = Field(ge=0)
    minutes_in_all: float = Field(ge=0)
    model: str
    recipe: str
    git: str | None = None


class Entry(_Record):
    """One row under one protocol.

    ``recipe`` and ``overrides`` are what ``knowmvg train`` takes, ``seed=`` and ``name=`` aside; both are empty for a
    control that is not trained.
    """

    row: str
    kind: Literal["model", "control"]
    recipe: str = ""
    overrides: tuple[str, ...] = ()
    protocol: Protocol
    data: str
    data_fingerprint: str
    split: str
    origins: tuple[Origin, ...] = ()
    n_phrases: int
    n_patients: int
    acc: dict[str, Estimate | None]
    miou: Estimate
    macro_miou: Estimate | None
    phrase_f1: Estimate | None = None
    false_box_rate: Estimate | None = None
    miou_by_seed: tuple[float, ...]
    knowmvg: str

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What a newer entry takes the place of."""
        return self.row, self.recipe, self.protocol, self.split, self.data_fingerprint


class Leaderboard(_Record):
    """Entries by data set and protocol, the best mIoU first."""

    schema_: Literal["knowmvg.leaderboard/1"] = Field(default=SCHEMA, alias="schema")
    notice: str = DISCLAIMER
    entries: tuple[Entry, ...] = ()

    @model_validator(mode="after")
    def _single(self) -> Self:
        if len({entry.key for entry in self.entries}) < len(self.entries):
            raise ValueError("expected each row once for its recipe, protocol, split and data")
        return self

    def joined(self, entries: Iterable[Entry]) -> Leaderboard:
        """With new entries, which take the place of older ones of the same key."""
        by_key = {entry.key: entry for entry in (*self.entries, *entries)}
        order = list(Protocol)
        ranked = sorted(by_key.values(), key=lambda e: (*_place(e), order.index(e.protocol), -e.miou.value, e.row))
        return Leaderboard(entries=tuple(ranked))

    def tables(self) -> list[Table]:
        """One table a data set, split and protocol."""
        return [_table(list(rows)) for _, rows in groupby(self.entries, key=lambda e: (*_place(e), e.protocol))]

    def to_json(self) -> str:
        """Strict, indented JSON."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"

    def to_markdown(self, command: str) -> str:
        """All tables, what they hold and the command that fills them."""
        blocks = ["# Leaderboard", f"    {command}", f"{NOTE} {EXPLAINED} {DISCLAIMER}"]
        blocks += [table.to_markdown().rstrip() for table in self.tables()]
        blocks += ["## How each row came about", *_origins(self.entries)]
        return "\n\n".join(blocks) + "\n"


def entry_of(
    row: str,
    results: Sequence[Result],
    *,
    kind: Literal["model", "control"],
    data: str,
    data_fingerprint: str,
    split: str,
    version: str,
    recipe: str = "",
    overrides: Sequence[str] = (),
    origins: Sequence[Origin] = (),
    phrases_given: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Entry:
    """The entry of a row from the results of its seeds, all of one protocol and on the same phrases.

    Raises:
        ValueError: no result, results of two protocols or of different phrases, or none with a boxed phrase.
    """
    if not results or any(result.protocol != results[0].protocol for result in results):
        raise ValueError(f"expected results of one protocol for {row}, got {len(results)}")
    keys = [{sample.key for sample in result.samples} for result in results]
    if any(key != keys[0] for key in keys):
        raise ValueError(f"expected results on the same phrases for {row}, got different ones")
    # Seeds repeat the same phrases of the same patients: pooled, every mean is that over seeds, and resampling patients
    # takes all their repetitions along.
    pooled = Result(
        results[0].protocol,
        tuple(sample for result in results for sample in result.samples),
        tuple(count for result in results for count in result.counts),
    )
    found = summarise(pooled, phrases_given=phrases_given, resamples=resamples, seed=seed)
    if found.micro.miou is None:
        raise ValueError(f"expected phrases with boxes for {row}, got none")
    names = found.identification
    return Entry(
        row=row,
        kind=kind,
        recipe=recipe,
        overrides=tuple(overrides),
        protocol=found.protocol,
        data=data,
        data_fingerprint=data_fingerprint,
        split=split,
        origins=tuple(origins),
        n_phrases=len(results[0].samples),
        n_patients=found.micro.n_patients,
        acc=found.micro.acc,
        miou=found.micro.miou,
        macro_miou=found.macro.miou,
        phrase_f1=None if names is None else names.f1,
        false_box_rate=None if names is None else names.false_box_rate,
        miou_by_seed=tuple(round(float(values(result.samples)[:, 0].mean()), 6) for result in results),
        knowmvg=version,
    )


def read_leaderboard(path: Path) -> Leaderboard:
    """The leaderboard at ``path``; an empty one where there is none.

    Raises:
        ManifestError: the file is no leaderboard of this schema.
    """
    if not path.exists():
        return Leaderboard()
    try:
        with path.open("rb") as stream:
            return Leaderboard.model_validate_json(stream.read(LIMIT))
    except (OSError, ValidationError) as error:
        todo = "Restore the file, or name another --out folder."
        raise ManifestError(f"a leaderboard of schema {SCHEMA}", f"another content in {path}", todo) from error


def write_leaderboard(folder: Path, board: Leaderboard, command: str) -> list[Path]:
    """Write ``leaderboard.json`` and ``leaderboard.md``, each whole or not at all."""
    data, page = folder / "leaderboard.json", folder / "leaderboard.md"
    write_text(data, board.to_json())
    write_text(page, board.to_markdown(command))
    return [data, page]


def _place(entry: Entry) -> tuple[str, str, str]:
    return entry.data, entry.data_fingerprint, entry.split


def _table(rows: Sequence[Entry]) -> Table:
    naming = any(row.phrase_f1 is not None for row in rows)
    header = ["row", *(f"acc@{t}" for t in rows[0].acc), "mIoU", "macro mIoU"]
    header += ["phrase F1", "false boxes"] if naming else []
    header += ["seeds", "mIoU of each seed", "minutes a seed"]
    lines = []
    for row in rows:
        cells: list[Cell] = [f"*{row.row}*" if row.kind == "control" else row.row, *row.acc.values(), row.miou]
        cells.append(row.macro_miou)
        cells += [row.phrase_f1, row.false_box_rate] if naming else []
        by_seed = ", ".join(f"{value:.3f}" for value in row.miou_by_seed) if len(row.miou_by_seed) > 1 else None
        lines.append(TableRow(row.protocol, (*cells, len(row.origins) or None, by_seed, _minutes(row.origins))))
    first = rows[0]
    title = f"{first.data}, {first.split} split, {first.n_phrases} phrases of {first.n_patients} patients"
    return Table(title, first.protocol, tuple(header), tuple(lines))


def _minutes(origins: Sequence[Origin]) -> str | None:
    if not origins:
        return None
    own, everything = ([getattr(o, name) for o in origins] for name in ("minutes", "minutes_in_all"))
    return f"{np.mean(own):.1f} ({np.mean(everything):.1f})"


def _origins(entries: Sequence[Entry]) -> list[str]:
    """A line a row: recipe, overrides, and the start of each fingerprint; the whole ones are in the JSON."""
    trained = {(e.row, e.recipe, e.data_fingerprint): e for e in entries if e.origins}
    lines = []
    for entry in sorted(trained.values(), key=lambda e: (e.recipe, e.row)):
        models = ", ".join(f"seed {o.seed}: `{o.model[:12]}`" for o in entry.origins)
        keys = " ".join(entry.overrides)
        lines.append(
            f"* **{entry.row}**: `knowmvg train {entry.recipe} {keys}`, data `{entry.data_fingerprint[:12]}`, {models}"
        )
    return ["\n".join(lines)] if lines else ["None was trained."]
