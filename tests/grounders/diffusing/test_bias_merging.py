"""Bimodal Bias Merging against its formulas, written out; and what its matrix product does with places."""

from __future__ import annotations

import math

import numpy as np
import pytest

from knowmvg.grounders.diffusion.merging import merged, quantised, similarity, stretched

CELLS = 64


def blob(row, column, sigma=6.0, side=CELLS):
    rows, columns = np.mgrid[:side, :side]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))


def centre(values):
    return np.unravel_index(values.argmax(), values.shape)


def written_out(attention, product, image_bias, text_bias):
    """The formulas with loops: mm, q, SSIM with 7 x 7 windows inside the map, binomial weights."""

    def mm(x):
        return (x - x.min()) / (x.max() - x.min())

    def q(x):
        return np.array([[math.floor(255 * value) for value in row] for row in mm(x)], dtype=float)

    x, y = q(image_bias), q(text_bias)
    scores = []
    for i in range(3, x.shape[0] - 3):
        for j in range(3, x.shape[1] - 3):
            a, b = x[i - 3 : i + 4, j - 3 : j + 4].ravel(), y[i - 3 : i + 4, j - 3 : j + 4].ravel()
            c = np.cov(a, b)
            top = (2 * a.mean() * b.mean() + 2.55**2) * (2 * c[0, 1] + 7.65**2)
            scores.append(top / ((a.mean() ** 2 + b.mean() ** 2 + 2.55**2) * (c[0, 0] + c[1, 1] + 7.65**2)))
    s = max(0.0, float(np.mean(scores)))
    m, a = mm(q(product)), mm(attention)
    return (1 - s) ** 2 * a + 2 * s * (1 - s) * ((m + a + m * a) / 2) + s**2 * m, s


@pytest.mark.parametrize("side", [16, 64])
@pytest.mark.parametrize("alike", [0.0, 0.7, 1.0])
def test_the_formulas(side, alike):
    rng = np.random.default_rng(side)
    attention, image, other = rng.random((3, side, side))
    text = alike * image + (1 - alike) * other
    wanted, s = written_out(attention, image @ text, image, text)
    np.testing.assert_allclose(merged(attention, image @ text, image, text), wanted, atol=1e-6)
    assert similarity(image, text) == pytest.approx(s, abs=1e-9)
    assert wanted.max() <= 1.5


def test_its_ends_are_the_attention_and_the_product():
    rng = np.random.default_rng(0)
    attention, product, bias = rng.random((3, 16, 16))
    np.testing.assert_allclose(merged(attention, product, bias, bias), stretched(quantised(product) / 255.0), atol=1e-9)
    opposed = merged(attention, product, bias, -bias)
    assert similarity(bias, -bias) == 0
    np.testing.assert_allclose(opposed, stretched(attention))


def test_the_matrix_product_takes_the_row_from_the_image_and_the_column_from_the_text():
    image, text = blob(45, 20), blob(18, 44)
    assert centre(image @ text) == (45, 44)


@pytest.mark.parametrize("shift", [(12, 0), (0, 12), (12, -8)])
def test_only_the_elementwise_product_moves_with_its_maps(shift):
    """Along the diagonal alone, as far down as to the right, the matrix product moves too."""
    image, text = blob(30, 20), blob(18, 28)

    def moved(values):
        return np.roll(values, shift, axis=(0, 1))

    together, apart = image * text, image @ text
    np.testing.assert_allclose(moved(image) * moved(text), moved(together))
    assert not np.allclose(moved(image) @ moved(text), moved(apart), atol=0.1 * apart.max())


def test_the_matrix_product_is_strong_on_the_diagonal_alone():
    assert (blob(32, 32) @ blob(32, 32)).max() > 20 * (blob(45, 20) @ blob(45, 20)).max()


def test_flat_maps_and_maps_smaller_than_a_window():
    flat = np.full((8, 8), 0.3)
    assert not stretched(flat).any()
    assert np.isfinite(merged(flat, flat, flat, flat)).all()
    assert similarity(flat, flat) == pytest.approx(1)
    small = np.random.default_rng(0).random((4, 4))
    assert similarity(small, small) == pytest.approx(1)
    assert np.isfinite(merged(small, small @ small, small, small)).all()
