"""Where a map stops being background."""

from __future__ import annotations

import warnings

import numpy as np

from knowmvg.core.boxes import FloatArray
from knowmvg.grounders.diffusion.settings import ReadSettings

_BINS = 256
_FLAT = 1e-9


def threshold(values: FloatArray, settings: ReadSettings) -> float | None:
    """The value above which the cells ``[n]`` of a map are foreground; ``None`` for a map that is flat."""
    if values.size == 0 or not np.ptp(values) > _FLAT:
        return None
    if settings.threshold == "gmm":
        return mixture(values, settings.seed)
    if settings.threshold == "otsu":
        return otsu(values)
    if settings.threshold == "top":
        return float(np.quantile(values, 1 - settings.value))
    return settings.value


def mixture(values: FloatArray, seed: int) -> float:
    """The mean of the means of two normal distributions fitted to the values, as the reference has it.

    Otsu's threshold where the fit does not settle, or the map has no two values to fit to.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if len(np.unique(values)) < 3:
        return otsu(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fitted = GaussianMixture(2, random_state=seed).fit(values.reshape(-1, 1))
        except (ConvergenceWarning, ValueError):
            return otsu(values)
    return float(fitted.means_.mean())


def otsu(values: FloatArray) -> float:
    """The value that splits a histogram of 256 bins with the largest variance between both sides (Otsu 1979)."""
    counts, edges = np.histogram(values, _BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = counts.cumsum(), counts[::-1].cumsum()[::-1]
    mass = counts * centres
    mean_below = mass.cumsum() / np.maximum(below, 1)
    mean_above = mass[::-1].cumsum()[::-1] / np.maximum(above, 1)
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return float(centres[:-1][between.argmax()])
