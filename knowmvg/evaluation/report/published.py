"""The numbers that the papers print, each with paper, table, row and column, and what is known to be wrong with them.

The figures are in ``published.yaml``. They were measured on other data, of other size and by another protocol than any
run here, so that they are shown beside ours and never compared with them by the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PublishedRow(_Part):
    """One line: its leading cells (a method's name, or marks of an ablation), its numbers, its footnotes.

    ``like`` is our name for the same variant; ``None`` in ``values`` is a dash of the paper.
    """

    row: tuple[str | bool, ...]
    values: tuple[float | None, ...]
    like: str | None = None
    notes: tuple[str, ...] = ()


class PublishedTable(_Part):
    """A table of a paper; ``values`` of a row are all ``metrics`` of the first of the ``groups``, then of the next.

    ``metrics`` maps a printed name to the name of our like number, or ``None``. ``own``: our numbers stand in columns
    or in rows of their own.
    """

    id: str
    caption: str
    unit: Literal["percent", "share"]
    decimals: int = Field(ge=0, le=6)
    own: Literal["columns", "rows"]
    lead: tuple[str, ...]
    groups: tuple[str, ...]
    metrics: dict[str, str | None]
    rows: tuple[PublishedRow, ...]
    notes: tuple[str, ...] = ()
    group_notes: dict[str, tuple[str, ...]] = {}

    @model_validator(mode="after")
    def _filled(self) -> PublishedTable:
        width = len(self.groups) * len(self.metrics)
        for row in self.rows:
            if len(row.values) != width or len(row.row) != len(self.lead):
                raise ValueError(f"expected {len(self.lead)} names and {width} numbers in table {self.id}: {row.row}")
        return self


class Paper(_Part):
    """A paper's tables, and its footnotes by their keys."""

    name: str
    title: str
    arxiv: str
    notes: dict[str, str]
    tables: tuple[PublishedTable, ...]

    @model_validator(mode="after")
    def _explained(self) -> Paper:
        used = {key for table in self.tables for key in note_keys(table)}
        if used != self.notes.keys():
            raise ValueError(f"expected each footnote of {self.name} defined and used, got {used ^ self.notes.keys()}")
        return self

    def table(self, id: str) -> PublishedTable:
        """A table by its number as printed. Raises ``KeyError`` for an unknown one."""
        for table in self.tables:
            if table.id == id:
                return table
        raise KeyError(f"expected one of {[table.id for table in self.tables]}, got {id!r}")


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """One printed number with its source; ``unit`` is ``percent`` or ``share``."""

    paper: str
    table: str
    row: str
    group: str
    metric: str
    value: float
    unit: str


def note_keys(table: PublishedTable) -> list[str]:
    """Keys of the footnotes of a table in the order in which its parts call for them, each once."""
    called = [*table.notes, *(key for keys in table.group_notes.values() for key in keys)]
    return list(dict.fromkeys([*called, *(key for row in table.rows for key in row.notes)]))


@cache
def papers() -> dict[str, Paper]:
    """The papers of the package by key: ``knowmvg`` and ``pfmvg``."""
    text = files(__package__).joinpath("published.yaml").read_text(encoding="utf-8")
    return {key: Paper.model_validate(content) for key, content in yaml.safe_load(text)["papers"].items()}


def row_name(table: PublishedTable, row: PublishedRow) -> str:
    """A line's name in words: the method, or the parts that it has."""
    if all(isinstance(part, str) for part in row.row):
        return " ".join(str(part) for part in row.row)
    return " + ".join(name for name, has in zip(table.lead, row.row, strict=True) if has) or "none of the parts"


def numbers() -> Iterator[PublishedNumber]:
    """Every printed number, one by one."""
    for paper in papers().values():
        for table in paper.tables:
            places = [(group, metric) for group in table.groups for metric in table.metrics]
            for row in table.rows:
                for (group, metric), value in zip(places, row.values, strict=True):
                    if value is not None:
                        name = row_name(table, row)
                        yield PublishedNumber(paper.name, table.id, name, group, metric, value, table.unit)
