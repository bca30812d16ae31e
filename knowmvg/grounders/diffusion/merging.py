"""Bimodal Bias Merging (Generate to Ground, arXiv 2507.12236), as the released code computes it.

The *image bias* is where the first token looks while the UNet reads the noised image; the *text bias* is where the
content words look while it makes an image from noise. Where both agree, their merged map counts, otherwise the plain
attention does. Maps are ``[S, S]``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from knowmvg.core.boxes import FloatArray

_WINDOW = 7
_K1, _K2, _RANGE = 0.01, 0.03, 255.0


def stretched(values: FloatArray, seen: NDArray[np.bool_] | None = None) -> FloatArray:
    """The map from 0 to 1 over the cells ``seen`` (all by default); 0 elsewhere, and 0 everywhere for a flat map."""
    inside = values if seen is None else values[seen]
    low, high = float(inside.min()), float(inside.max())
    if not high > low:
        return np.zeros_like(values)
    out: FloatArray = np.clip((values - low) / (high - low), 0.0, 1.0)
    return out if seen is None else np.where(seen, out, 0.0)


def quantised(values: FloatArray) -> NDArray[np.uint8]:
    """``floor(255 x)`` of the map from 0 to 1."""
    return np.floor(255 * stretched(values)).astype(np.uint8)


def similarity(first: FloatArray, second: FloatArray) -> float:
    """``max(0, SSIM)`` of the two quantised maps (Wang et al. 2004).

    The mean over windows of 7 x 7 that lie inside, sample covariances, a range of 255: scikit-image's defaults, which
    the reference takes. Maps smaller than a window have one of their own size, odd.
    """
    x, y = quantised(first).astype(np.float64), quantised(second).astype(np.float64)
    side = min(_WINDOW, *(length - (length + 1) % 2 for length in x.shape))
    n = side * side
    mean_x, mean_y, xx, yy, xy = (uniform_filter(each, side) for each in (x, y, x * x, y * y, x * y))
    unbiased = n / (n - 1) if n > 1 else 1.0
    var_x, var_y = unbiased * (xx - mean_x**2), unbiased * (yy - mean_y**2)
    covariance = unbiased * (xy - mean_x * mean_y)
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    score = top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    edge = side // 2
    rows, columns = score.shape
    return max(0.0, float(score[edge : rows - edge, edge : columns - edge].mean()))


def merged(attention: FloatArray, product: FloatArray, image_bias: FloatArray, text_bias: FloatArray) -> FloatArray:
    """The refined map ``H``, 0 to 1.5, and how alike the biases are.

    ``H = (1-s)^2 A + 2 s (1-s) (M + A + M A) / 2 + s^2 M``, with the attention ``A`` from 0 to 1, the stretched and
    quantised product ``M`` of the biases, and their similarity ``s``.

    Args:
        attention: mean over layers, steps and content tokens.
        product: mean over layers and steps of the product of image bias and text bias: the matrix product in the
            reference, or the elementwise one.
        image_bias: mean over layers and steps of the first token's attention.
        text_bias: mean over layers, steps and content tokens, without image.
    """
    a, m = stretched(attention), stretched(quantised(product).astype(np.float64))
    s = similarity(image_bias, text_bias)
    return (1 - s) ** 2 * a + 2 * s * (1 - s) * (m + a + m * a) / 2 + s**2 * m
