"""The plots of one protocol as SVG text, drawn without a display and the same at every run."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from knowmvg.evaluation.intervals import RESAMPLES, Estimate
from knowmvg.evaluation.report.curves import Bin, accuracy_curve, by_size, reliability, risk_coverage
from knowmvg.evaluation.samples import Sample
from knowmvg.evaluation.summary import Localisation, Summary

INK, FAINT, ACCENT, SECOND = "#1b1f24", "#b4bac2", "#0b62b8", "#b04a00"
PAPER = "#ffffff"
DRAWN = 400  # points of a curve over phrases, so that the file stays small for any test set
COLOURS = {PAPER: "--card", INK: "--ink", FAINT: "--line", ACCENT: "--accent", SECOND: "--second"}
_STYLE = {
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


def plots(
    summary: Summary, samples: Sequence[Sample], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Plot, ...]:
    """All plots that the samples of one model and protocol allow; none without a phrase."""
    if not samples:
        return ()
    with matplotlib.rc_context(_STYLE):
        found = [_findings(summary), _accuracy(samples, resamples, seed)]
        scored = reliability(samples, resamples=resamples, seed=seed)
        if scored:
            found += [_reliability(scored), _risk(samples)]
        found.append(_sizes(by_size(samples, resamples=resamples, seed=seed)))
    return tuple(found)


def _findings(summary: Summary) -> Plot:
    ranked = sorted(_known(summary.per_finding), key=lambda item: (item[1].value, item[0]))
    figure, axes = _figure(height=1.0 + 0.3 * len(ranked))
    places = np.arange(len(ranked))
    values = np.array([found.value for _, found in ranked])
    axes.errorbar(values, places, xerr=_reach([found for _, found in ranked]), **_points(ACCENT))
    axes.set_yticks(places, [f"{_short(name)} ({summary.per_finding[name].n_phrases})" for name, _ in ranked])
    axes.tick_params(axis="y", length=0)
    if summary.macro.miou is not None:
        axes.axvline(summary.macro.miou.value, color=SECOND, linewidth=1, linestyle="--", label="mean over findings")
        _legend(axes)
    axes.set(xlim=(0, 1), ylim=(-0.6, len(ranked) - 0.4), xlabel="mean IoU (number of phrases beside the name)")
    worst, best = ranked[0], ranked[-1]
    words = f"Lowest {worst[0]} at {worst[1].value:.2f}, highest {best[0]} at {best[1].value:.2f}."
    return _plot("miou-by-finding", "Mean IoU by finding", words, figure)


def _accuracy(samples: Sequence[Sample], resamples: int, seed: int) -> Plot:
    curve = accuracy_curve(samples, resamples=resamples, seed=seed)
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _lines(top)
    _lines(below)
    top.fill_between(curve.x, curve.low, curve.high, color=ACCENT, alpha=0.2, linewidth=0)
    top.plot(curve.x, curve.value, color=ACCENT)
    top.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="acc@t")
    below.hist([s.iou for s in samples], bins=np.linspace(0, 1, 21).tolist(), color=ACCENT, alpha=0.65)
    below.set(xlabel="IoU threshold t, and IoU of a phrase", ylabel="phrases")
    at = {t: curve.value[np.isclose(curve.x, t)].item() for t in (0.1, 0.3, 0.5, 0.75)}
    words = "Share of phrases with IoU of at least t: " + ", ".join(f"{v:.2f} at {t:g}" for t, v in at.items()) + "."
    return _plot("accuracy-by-threshold", "Accuracy over the IoU threshold, and all IoU", words, figure)


def _reliability(bins: Sequence[Bin]) -> Plot:
    figure, axes = _figure(width=4.6, height=4.4)
    axes.plot([0, 1], [0, 1], color=SECOND, linewidth=1, linestyle="--", label="score = IoU")
    axes.errorbar(
        [b.x for b in bins], [b.miou.value for b in bins], yerr=_reach([b.miou for b in bins]), **_points(ACCENT)
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="mean score of the bin", ylabel="mean IoU of the bin")
    _legend(axes)
    worst = max(bins, key=lambda b: abs(b.x - b.miou.value))
    total = sum(b.n for b in bins)
    words = (
        f"{total} phrases with a box in {len(bins)} bins of about equal number. Farthest from the diagonal: score "
        f"{worst.x:.2f}, mean IoU {worst.miou.value:.2f}."
    )
    return _plot("reliability", "Reliability of the score", words, figure)


def _risk(samples: Sequence[Sample]) -> Plot:
    found = risk_coverage(samples)
    figure, axes = _figure()
    few = np.unique(np.linspace(0, len(found.coverage) - 1, DRAWN).round().astype(int))
    axes.plot(found.coverage[few], found.risk[few], color=ACCENT, label="kept by score")
    axes.plot(
        found.coverage[few],
        found.ideal[few],
        color=SECOND,
        linewidth=1,
        linestyle="--",
        label="kept by IoU (the limit)",
    )
    axes.axhline(found.risk[-1], color=INK, linewidth=1, linestyle=":", label="kept by chance")
    axes.set(xlim=(0, 1), ylim=(0, None), xlabel="share of phrases kept", ylabel="mean of 1 - IoU")
    _legend(axes)
    half = found.risk[np.argmin(np.abs(found.coverage - 0.5))]
    words = f"Mean of 1 - IoU is {found.risk[-1]:.2f} over all phrases and {half:.2f} over the half of higher score."
    return _plot("risk-coverage", "Risk and coverage", words, figure)


def _sizes(bins: Sequence[Bin]) -> Plot:
    figure, axes = _figure()
    axes.errorbar(
        [b.x for b in bins],
        [b.miou.value for b in bins],
        xerr=np.array([[b.x - b.lower for b in bins], [b.upper - b.x for b in bins]]),
        yerr=_reach([b.miou for b in bins]),
        **_points(ACCENT),
    )
    if min(b.lower for b in bins) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    else:
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set(ylim=(0, 1), xlabel="share of the image that the reference covers", ylabel="mean IoU")
    first, last = bins[0], bins[-1]
    words = (
        f"Smallest ({_span(first)}): mean IoU {first.miou.value:.2f}; largest ({_span(last)}): {last.miou.value:.2f}."
    )
    return _plot("miou-by-size", "Mean IoU by size of the reference", words, figure)


def _span(part: Bin) -> str:
    return f"{100 * part.lower:.2g} to {100 * part.upper:.2g} % of the image"


def _known(found: dict[str, Localisation]) -> list[tuple[str, Estimate]]:
    return [(name, numbers.miou) for name, numbers in found.items() if numbers.miou is not None]


def _short(name: str) -> str:
    flat = "".join(letter if letter.isprintable() else " " for letter in name)
    return flat if len(flat) <= 32 else f"{flat[:31]}…"


def _reach(found: Sequence[Estimate]) -> np.ndarray:
    """Lengths of the error bars below and above, ``[2, n]``; 0 where there is no interval."""
    below = [0.0 if e.low is None else max(0.0, e.value - e.low) for e in found]
    above = [0.0 if e.high is None else max(0.0, e.high - e.value) for e in found]
    return np.array([below, above])


def _points(colour: str) -> dict[str, object]:
    return {"fmt": "o", "color": colour, "markersize": 5, "elinewidth": 1.5, "capsize": 0}


def _figure(width: float = 6.4, height: float = 3.6) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _lines(axes)
    return figure, axes


def _lines(axes: Axes) -> None:
    axes.grid(True, color=FAINT, linewidth=0.5, alpha=0.6)


def _legend(axes: Axes) -> None:
    axes.legend(loc="best")


def _plot(name: str, title: str, words: str, figure: Figure) -> Plot:
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
