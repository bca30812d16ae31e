"""One picture of a data set: boxes by finding and split, how large they are, where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from knowmvg.sources.prepare.summary import split_name
from knowmvg.sources.prepare.tally import GRID, SIZES, Counts, Tally
from knowmvg.sources.prepared import PreparedNotes

MOST_FINDINGS, FEWEST_BARS = 24, 5
_COLOURS = ("#0b62b8", "#6fa8dc", "#b04a00", "#8a929c", "#b4bac2")
_STYLE: dict[Any, Any] = {  # matplotlib lists all keys as literals
    "text.parse_math": False,  # a finding's name may hold a dollar sign
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
}


def write_plot(path: Path, notes: PreparedNotes, tally: Tally) -> None:
    """Write the picture as PNG; the same counts give the same bytes."""
    with matplotlib.rc_context(_STYLE):
        shown = min(max(len(tally.findings), 1), MOST_FINDINGS)
        figure = Figure(figsize=(11, 6.4 + 0.12 * shown), layout="constrained")
        axes = figure.subplots(2, 2)
        _findings(axes[0, 0], tally)
        _sizes(axes[0, 1], tally)
        empty: Counts = np.zeros((GRID, GRID), dtype=np.int64)
        centres = sum((found.centres for found in tally.findings.values()), start=empty)
        covered = sum((found.covered for found in tally.findings.values()), start=empty)
        boxes = int(centres.sum())
        _map(figure, axes[1, 0], centres, "Centres of the boxes", "boxes a cell")
        _map(figure, axes[1, 1], covered / max(boxes, 1), "Coverage", "share of boxes that cover a place")
        figure.suptitle(f"{notes.name} {notes.version}: {boxes:,} boxes")
        figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def _findings(axes: Axes, tally: Tally) -> None:
    ranked = sorted(tally.findings.items(), key=lambda pair: (pair[1].boxes.total(), pair[0]))
    shown = ranked[-MOST_FINDINGS:]
    places, left = np.arange(len(shown)), np.zeros(len(shown))
    axes.set_ylim(len(shown) - 0.4 - max(len(shown), FEWEST_BARS), len(shown) - 0.4)  # one bar alone is no wall
    for index, split in enumerate(tally.splits):
        counts = np.array([found.boxes[split] for _, found in shown], dtype=float)
        axes.barh(places, counts, left=left, color=_COLOURS[min(index, 4)], label=split_name(split))
        left += counts
    axes.set_yticks(places, [name if len(name) <= 40 else f"{name[:39]}…" for name, _ in shown])
    axes.tick_params(axis="y", length=0)
    further = len(ranked) - len(shown)
    axes.set_title("Boxes by finding" + (f" ({further} rarer not shown)" if further else ""), loc="left")
    axes.set_xlabel("boxes")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if shown:  # beside the title, where no bar can be
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=len(tally.splits),
            borderaxespad=0.2,
            borderpad=0.1,
            columnspacing=1.0,
            handlelength=1.2,
        )


def _sizes(axes: Axes, tally: Tally) -> None:
    step = 5
    counts = sum((found.sizes for found in tally.findings.values()), start=np.zeros(SIZES, dtype=np.int64))
    grouped = counts.reshape(-1, step).sum(axis=1)
    edges = np.arange(len(grouped)) * step / SIZES
    axes.bar(edges, grouped, width=step / SIZES, align="edge", color=_COLOURS[0], edgecolor="white", linewidth=0.5)
    axes.set_title("Size of the boxes", loc="left")
    axes.set(xlabel="square root of the share of the image's area", ylabel="boxes")
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _map(figure: Figure, axes: Axes, cells: Any, title: str, unit: str) -> None:
    drawn = axes.imshow(cells, extent=(0, 1, 1, 0), cmap="magma", interpolation="nearest", vmin=0)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, label=unit)
    if np.issubdtype(cells.dtype, np.integer):
        bar.locator = MaxNLocator("auto", integer=True)
        bar.update_ticks()
    axes.set_title(title, loc="left")
    axes.set(xlabel="x / width (0: left edge of the image)", ylabel="y / height")
