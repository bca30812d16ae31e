"""How all plots look, and how one is put into a page: SVG text, drawn without a display, the same at every run."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from knowmvg.core.boxes import FloatArray
from knowmvg.evaluation.intervals import Estimate

INK, FAINT, ACCENT, SECOND = "#1b1f24", "#b4bac2", "#0b62b8", "#b04a00"
PAPER = "#ffffff"
COLOURS = {PAPER: "--card", INK: "--ink", FAINT: "--line", ACCENT: "--accent", SECOND: "--second"}
_STYLE: dict[Any, Any] = {  # matplotlib lists all keys as literals
    "svg.fonttype": "none",  # letters stay letters: small files, and a page's reader can select and enlarge them
    "svg.hashsalt": "knowmvg",
    "text.parse_math": False,  # a finding's name may hold a dollar sign
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture for a page: file name without ending, title, what it shows in words, and its SVG."""

    name: str
    title: str
    words: str
    svg: str


def styled() -> AbstractContextManager[None]:
    """The style of all plots, for as long as it is entered."""
    return matplotlib.rc_context(_STYLE)


def one_figure(width: float = 6.4, height: float = 3.6) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes and faint lines."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    faint_lines(axes)
    return figure, axes


def faint_lines(axes: Axes) -> None:
    """Lines at the ticks."""
    axes.grid(True, color=FAINT, linewidth=0.5, alpha=0.6)


def points(axes: Axes, x: Any, y: Any, *, xerr: FloatArray | None = None, yerr: FloatArray | None = None) -> None:
    """Dots with error bars, whose lengths below and above are ``[2, n]``."""
    axes.errorbar(x, y, xerr=xerr, yerr=yerr, fmt="o", color=ACCENT, markersize=5, elinewidth=1.5, capsize=0)


def reach(found: Sequence[Estimate]) -> FloatArray:
    """Lengths of the error bars below and above, ``[2, n]``; 0 where there is no interval."""
    below = [0.0 if e.low is None else max(0.0, e.value - e.low) for e in found]
    above = [0.0 if e.high is None else max(0.0, e.high - e.value) for e in found]
    return np.array([below, above])


def plot_of(name: str, title: str, words: str, figure: Figure) -> Plot:
    """The drawn figure."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Plot(name, title, words, stream.getvalue())


def inline(plot: Plot, prefix: str) -> str:
    """The plot as an ``<svg>`` element for a page: colours of the page, identifiers of its own, no links outside.

    The element is hidden from readers of the screen: the page gives ``words`` beside it.
    """
    svg = plot.svg[plot.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)  # it would speak for the whole page
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    for colour, variable in COLOURS.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
