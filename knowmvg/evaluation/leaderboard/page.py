"""The leaderboard as it is read: a table a protocol, what the columns are, and how each row came about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from knowmvg.core.records import DISCLAIMER
from knowmvg.evaluation.leaderboard.entry import Entry, Origin
from knowmvg.evaluation.tables import NOTE, Cell, Table, TableRow

EXPLAINED = (
    "Figures are those of all seeds together, with 95 % bootstrap intervals over patients; the seeds are held fixed in "
    "them, so the mIoU of each seed stands beside. Minutes: training of one seed, stage by stage where it has several, "
    "and in brackets with the parts that runs share. A control without seed draws nothing. Differences of mIoU are "
    "paired by phrase, each phrase the mean over a row's seeds, and not corrected for their number."
)
TIMED = (
    "Seconds a study: median time from image and report in memory to boxes, one study at a time, in brackets the "
    "processor time. Peak MB: the most memory that the process ever held, interpreter and libraries included. Both are "
    "measured apart from the answers, on the same studies for every row, in a fresh process with the model of the "
    "first seed alone: {measured}."
)
PARSED = "Rows marked with a dagger name no phrases themselves: in `generate` the report parser does, and they place."


def entry_table(rows: Sequence[Entry]) -> Table:
    """The rows of one data set, part of its split and protocol; columns that no row fills are left out."""
    first = rows[0]
    naming = any(row.phrase_f1 is not None for row in rows)
    compared = {row.against for row in rows if row.difference is not None}
    timed = any(row.timing is not None for row in rows)
    minus = f"minus {compared.pop()}" if len(compared) == 1 else "difference" if compared else None
    header = ["row", *(f"acc@{t}" for t in first.acc), "mIoU", *([minus] if minus else []), "macro mIoU"]
    header += ["phrase F1", "false boxes"] if naming else []
    header += ["seeds", "mIoU of each seed", "minutes a seed"]
    header += ["seconds a study", "peak MB"] if timed else []
    lines = []
    for row in rows:
        cells: list[Cell] = [_name(row), *row.acc.values(), row.miou]
        cells += [_difference(row, named=minus == "difference")] if minus else []
        cells.append(row.macro_miou)
        cells += [row.phrase_f1, row.false_box_rate] if naming else []
        by_seed = ", ".join(f"{value:.3f}" for value in row.miou_by_seed) if len(row.miou_by_seed) > 1 else None
        cells += [len(row.origins) or None, by_seed, _minutes(row.origins)]
        cells += _cost(row) if timed else []
        lines.append(TableRow(row.protocol, tuple(cells)))
    drawn = "" if first.drawn is None else f" in {first.n_studies} studies drawn at random"
    title = f"{first.data}, {first.split} split, {first.n_phrases} phrases of {first.n_patients} patients{drawn}"
    return Table(title, first.protocol, tuple(header), tuple(lines))


def board_page(tables: Sequence[Table], entries: Sequence[Entry], command: str) -> str:
    """The whole page; ``command`` is what filled it."""
    blocks = ["# Leaderboard", f"    {command}", f"{NOTE} {EXPLAINED} {DISCLAIMER}"]
    measured = {(e.timing.studies, e.timing.threads, e.timing.device) for e in entries if e.timing is not None}
    if measured:
        ways = [f"{n} studies on {k} thread{'s' * (k > 1)} ({device})" for n, k, device in sorted(measured)]
        blocks.append(TIMED.format(measured="; ".join(ways)))
    if any(entry.named_by == "report parser" for entry in entries):
        blocks.append(PARSED)
    blocks += [table.to_markdown().rstrip() for table in tables]
    blocks += ["## How each row came about", *_origins(entries)]
    return "\n\n".join(blocks) + "\n"


def _name(row: Entry) -> str:
    marked = f"{row.row} †" if row.named_by == "report parser" else row.row
    return f"*{marked}*" if row.kind == "control" else marked


def _difference(row: Entry, *, named: bool) -> Cell:
    """The difference, with the row that it is from where the table has several."""
    if row.difference is None or not named:
        return row.difference
    found = row.difference
    return f"{found.value:+.3f} from {row.against}"


def _cost(row: Entry) -> list[Cell]:
    if row.timing is None:
        return [None, None]
    gpu = "" if row.timing.gpu_peak_mb is None else f" + {row.timing.gpu_peak_mb:.0f} on the GPU"
    return [f"{row.timing.seconds:.2f} ({row.timing.cpu_seconds:.2f})", f"{row.timing.peak_mb:.0f}{gpu}"]


def _minutes(origins: Sequence[Origin]) -> str | None:
    """The minutes of a seed's own stages, and in brackets those with the shared ones where there are any."""
    own = [o.minutes for o in origins if o.minutes is not None]
    everything = [o.minutes_in_all for o in origins if o.minutes_in_all is not None]
    if not own or not everything:
        return None
    told, in_all = f"{np.mean(own):.1f}", f"{np.mean(everything):.1f}"
    stages = dict.fromkeys(stage for o in origins for stage in o.stages)
    parts = [f"{stage} {sum(o.stages.get(stage, 0.0) for o in origins) / len(own):.1f}" for stage in stages]
    named = f" = {' + '.join(parts)}" if len(parts) > 1 else ""
    return told + named + (f" ({in_all})" if in_all != told else "")


def _origins(entries: Sequence[Entry]) -> list[str]:
    """A line a row: recipe, overrides, and the start of each fingerprint; the whole ones are in the JSON."""
    made = {(e.row, e.recipe, e.data_fingerprint): e for e in entries if e.origins}
    lines = []
    for entry in sorted(made.values(), key=lambda e: (e.recipe, e.row)):
        models = ", ".join(f"seed {o.seed}: `{o.model[:12]}`" for o in entry.origins)
        keys = " ".join(("knowmvg train", entry.recipe, *entry.overrides))
        came = f"`{keys}`" if entry.recipe else "a model that was given"
        lines.append(f"* **{entry.row}**: {came}, data `{entry.data_fingerprint[:12]}`, {models}")
    return ["\n".join(lines)] if lines else ["None was trained."]
