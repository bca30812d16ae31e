"""The plots of one protocol: by finding, over the threshold, of the scores, by size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from knowmvg.evaluation.intervals import RESAMPLES, Estimate
from knowmvg.evaluation.report.curves import Bin, accuracy_curve, by_size, reliability, risk_coverage
from knowmvg.evaluation.report.svg import (
    ACCENT,
    INK,
    SECOND,
    Plot,
    faint_lines,
    one_figure,
    plot_of,
    points,
    reach,
    styled,
)
from knowmvg.evaluation.samples import Sample
from knowmvg.evaluation.summary import Localisation, Summary

DRAWN = 400  # points of a curve over phrases, so that the file stays small for any test set


def plots(
    summary: Summary, samples: Sequence[Sample], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Plot, ...]:
    """All plots that the samples of one model and protocol allow; none without a phrase."""
    if not samples:
        return ()
    with styled():
        found = [_findings(summary), _accuracy(samples, resamples, seed)]
        scored = reliability(samples, resamples=resamples, seed=seed)
        if scored:
            found += [_reliability(scored), _risk(samples)]
        found.append(_sizes(by_size(samples, resamples=resamples, seed=seed)))
    return tuple(found)


def _findings(summary: Summary) -> Plot:
    ranked = sorted(_known(summary.per_finding), key=lambda item: (item[1].value, item[0]))
    figure, axes = one_figure(height=1.0 + 0.3 * len(ranked))
    places = np.arange(len(ranked))
    values = np.array([found.value for _, found in ranked])
    points(axes, values, places, xerr=reach([found for _, found in ranked]))
    axes.set_yticks(places, [f"{_short(name)} ({summary.per_finding[name].n_phrases})" for name, _ in ranked])
    axes.tick_params(axis="y", length=0)
    if summary.macro.miou is not None:
        axes.axvline(summary.macro.miou.value, color=SECOND, linewidth=1, linestyle="--", label="mean over findings")
        axes.legend(loc="best")
    axes.set(xlim=(0, 1), ylim=(-0.6, len(ranked) - 0.4), xlabel="mean IoU (number of phrases beside the name)")
    worst, best = ranked[0], ranked[-1]
    words = f"Lowest {worst[0]} at {worst[1].value:.2f}, highest {best[0]} at {best[1].value:.2f}."
    return plot_of("miou-by-finding", "Mean IoU by finding", words, figure)


def _accuracy(samples: Sequence[Sample], resamples: int, seed: int) -> Plot:
    curve = accuracy_curve(samples, resamples=resamples, seed=seed)
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    faint_lines(top)
    faint_lines(below)
    top.fill_between(curve.x, curve.low, curve.high, color=ACCENT, alpha=0.2, linewidth=0)
    top.plot(curve.x, curve.value, color=ACCENT)
    top.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="acc@t")
    below.hist([s.iou for s in samples], bins=np.linspace(0, 1, 21).tolist(), color=ACCENT, alpha=0.65)
    below.set(xlabel="IoU threshold t, and IoU of a phrase", ylabel="phrases")
    at = {t: curve.value[np.isclose(curve.x, t)].item() for t in (0.1, 0.3, 0.5, 0.75)}
    words = "Share of phrases with IoU of at least t: " + ", ".join(f"{v:.2f} at {t:g}" for t, v in at.items()) + "."
    return plot_of("accuracy-by-threshold", "Accuracy over the IoU threshold, and all IoU", words, figure)


def _reliability(bins: Sequence[Bin]) -> Plot:
    figure, axes = one_figure(width=4.6, height=4.4)
    axes.plot([0, 1], [0, 1], color=SECOND, linewidth=1, linestyle="--", label="score = IoU")
    points(axes, [b.x for b in bins], [b.miou.value for b in bins], yerr=reach([b.miou for b in bins]))
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="mean score of the bin", ylabel="mean IoU of the bin")
    axes.legend(loc="best")
    worst = max(bins, key=lambda b: abs(b.x - b.miou.value))
    total = sum(b.n for b in bins)
    words = (
        f"{total} phrases with a box in {len(bins)} bins of about equal number. Farthest from the diagonal: score "
        f"{worst.x:.2f}, mean IoU {worst.miou.value:.2f}."
    )
    return plot_of("reliability", "Reliability of the score", words, figure)


def _risk(samples: Sequence[Sample]) -> Plot:
    found = risk_coverage(samples)
    figure, axes = one_figure()
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
    axes.legend(loc="best")
    half = found.risk[np.argmin(np.abs(found.coverage - 0.5))]
    words = f"Mean of 1 - IoU is {found.risk[-1]:.2f} over all phrases and {half:.2f} over the half of higher score."
    return plot_of("risk-coverage", "Risk and coverage", words, figure)


def _sizes(bins: Sequence[Bin]) -> Plot:
    figure, axes = one_figure()
    span = np.array([[b.x - b.lower for b in bins], [b.upper - b.x for b in bins]]).clip(min=0)  # rounding of the mean
    points(axes, [b.x for b in bins], [b.miou.value for b in bins], xerr=span, yerr=reach([b.miou for b in bins]))
    if min(b.lower for b in bins) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set(ylim=(0, 1), xlabel="share of the image that the reference covers", ylabel="mean IoU")
    first, last = bins[0], bins[-1]
    words = (
        f"Smallest ({_span(first)}): mean IoU {first.miou.value:.2f}; largest ({_span(last)}): {last.miou.value:.2f}."
    )
    return plot_of("miou-by-size", "Mean IoU by size of the reference", words, figure)


def _span(part: Bin) -> str:
    return f"{100 * part.lower:.2g} to {100 * part.upper:.2g} % of the image"


def _known(found: dict[str, Localisation]) -> list[tuple[str, Estimate]]:
    return [(name, numbers.miou) for name, numbers in found.items() if numbers.miou is not None]


def _short(name: str) -> str:
    flat = "".join(letter if letter.isprintable() else " " for letter in name)
    return flat if len(flat) <= 32 else f"{flat[:31]}…"
