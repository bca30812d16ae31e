"""One page for a whole evaluation: self-contained HTML that loads nothing, runs nothing and can be printed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

import knowmvg
from knowmvg.core.records import DISCLAIMER
from knowmvg.evaluation.evaluate import Evaluation, Part
from knowmvg.evaluation.report.beside import APART, Beside
from knowmvg.evaluation.report.cases import Case
from knowmvg.evaluation.report.grid import Grid, grid_of, slug
from knowmvg.evaluation.report.run_card import RunCard
from knowmvg.evaluation.report.svg import Plot, inline
from knowmvg.evaluation.samples import Sample
from knowmvg.evaluation.tables import NOTE, Row, Table, calibration_line, shown

ASKED = {
    "teacher_forced": "The model was given image, report, the reference phrases and their numbers of boxes; only the "
    "boxes are scored. The papers of this lineage ask so. It is easier than any use.",
    "generate": "The model was given image and report and named the phrases itself; a reference phrase that it did not "
    "name scores 0.",
    "phrase_given": "The model was given image, report and the reference phrases, and chose the number of boxes.",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in large letters: its name, the number and what stands below it."""

    name: str
    value: str
    below: str


@dataclass(frozen=True, slots=True)
class Section:
    """All of one protocol."""

    protocol: str
    asked: str
    figures: tuple[Figure, ...]
    grids: tuple[Grid, ...]
    scores: str
    plots: tuple[Plot, ...]
    cases: tuple[tuple[str, tuple[Case, ...]], ...] = ()


def section(
    part: Part,
    tables: Sequence[Table],
    plots: Sequence[Plot],
    cases: Sequence[tuple[str, Sequence[Case]]] = (),
) -> Section:
    """A protocol's part of the page. Raises ``ValueError`` for a table of another protocol."""
    if any(table.protocol != part.protocol for table in tables):
        raise ValueError(f"expected tables of the protocol {part.protocol}, got one of another")
    return Section(
        protocol=part.protocol.value,
        asked=ASKED.get(part.protocol.value, ""),
        figures=tuple(_figures(part.rows)),
        grids=tuple(grid_of(table) for table in tables),
        scores=calibration_line(part.rows[0]),
        plots=tuple(plots),
        cases=tuple((name, tuple(found)) for name, found in cases if found),
    )


def page(
    evaluation: Evaluation,
    sections: Sequence[Section],
    *,
    data: str,
    published: Sequence[Beside] = (),
    card: RunCard | None = None,
) -> str:
    """The page as HTML text. ``data`` names the data set; every text in it is escaped."""
    room = files(__package__)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(cell=_cell, slug=slug)
    environment.globals.update(inline=_inline)
    template = environment.from_string(room.joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(
        name=evaluation.name,
        data=data,
        css=Markup(room.joinpath("page.css").read_text(encoding="utf-8")),
        notice=DISCLAIMER,
        note=NOTE,
        apart=APART,
        sections=sections,
        published=[beside.to_grid() for beside in published],
        notes=evaluation.notes,
        facts_rows=_facts(evaluation, data),
        card=card,
    )


def fingerprint(samples: Sequence[Sample]) -> str:
    """SHA-256 of the scored phrases and their reference boxes, whatever their order: equal for the same test."""
    rows = sorted([sample.study, sample.index, *sample.reference] for sample in samples)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _figures(rows: Sequence[Row]) -> list[Figure]:
    """The model's main numbers and the control that comes closest."""
    own, controls = rows[0].summary, rows[1:]
    found = [("mIoU", own.micro.miou), *((f"acc@{t}", acc) for t, acc in own.micro.acc.items())]
    found.append(("mean over findings", own.macro.miou))
    if own.identification is not None:
        found += [("phrase F1", own.identification.f1), ("false boxes", own.identification.false_box_rate)]
    figures = []
    for name, estimate in found:
        value, _, interval = shown(estimate).partition(" ")
        figures.append(Figure(name, value, interval))
    known = [(row.summary.micro.miou.value, row.name) for row in controls if row.summary.micro.miou is not None]
    if known:
        best, control = max(known)
        figures.append(Figure("mIoU of the best control", f"{best:.3f}", control))
    return figures


def _facts(evaluation: Evaluation, data: str) -> list[tuple[str, str]]:
    """What was evaluated, with what, so that it can be done again."""
    samples = evaluation.parts[0].samples if evaluation.parts else ()
    return [
        ("model", evaluation.name),
        ("data", data),
        ("phrases with boxes", str(len(samples))),
        ("patients", str(len({sample.patient for sample in samples}))),
        ("fingerprint of the phrases", fingerprint(samples)),
        ("seed of shuffling and bootstrap", str(evaluation.seed)),
        ("bootstrap resamples", str(evaluation.resamples)),
        ("knowmvg, at the evaluation", knowmvg.__version__),
        ("numpy, at the evaluation", np.__version__),
    ]


def _inline(plot: Plot, prefix: str) -> Markup:
    return Markup(inline(plot, f"{slug(prefix)}-{plot.name}"))


def _cell(text: str) -> Markup:
    """A cell with its interval in small letters."""
    return Markup(re.sub(r" \[([^\[\]]*)\](.*)$", r' <span class="interval">[\1]\2</span>', str(escape(text))))
