from __future__ import annotations

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from knowmvg.grounders.diffusion.regions import FLAT, NOTHING, boxes_of, without_specks
from knowmvg.grounders.diffusion.settings import ReadSettings
from knowmvg.grounders.diffusion.thresholds import mixture, otsu, threshold

SEEN = np.ones((16, 16), dtype=bool)


def squares(*places, side=16, background=0.1):
    heat = np.full((side, side), background)
    for r1, c1, r2, c2, value in places:
        heat[r1:r2, c1:c2] = value
    return heat


def test_the_mixture_is_that_of_scikit_learn_and_seeded():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.2, 0.05, 3000), rng.normal(0.8, 0.05, 1000)])
    wanted = GaussianMixture(2, random_state=4).fit(values[:, None]).means_.mean()
    assert mixture(values, 4) == wanted == mixture(values, 4)
    assert mixture(values, 4) == pytest.approx(0.5, abs=0.02)


def test_otsu_against_all_splits():
    values = np.random.default_rng(1).beta(2, 5, 500)
    _, edges = np.histogram(values, 256)
    between = []
    for edge in edges[1:-1]:
        low, high = values[values < edge], values[values >= edge]
        between.append(len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0)
    assert otsu(values) == pytest.approx(edges[1:-1][np.argmax(between)], abs=2 * (edges[1] - edges[0]))


def test_fixed_and_top_share():
    values = np.linspace(0, 1, 101)
    assert threshold(values, ReadSettings(threshold="fixed", value=0.3)) == 0.3
    assert (values > threshold(values, ReadSettings(threshold="top", value=0.1))).sum() == 10


@pytest.mark.parametrize("kind", ["gmm", "otsu", "fixed", "top"])
def test_a_flat_map_gives_no_box_and_says_so(kind):
    found = boxes_of(np.full((16, 16), 0.0), SEEN, 64, ReadSettings(threshold=kind))
    assert len(found.boxes) == 0
    assert found.reason == FLAT


def test_a_map_of_two_values_has_a_threshold_between_them():
    heat = squares((4, 4, 8, 8, 1.0), background=0.0)
    for kind in ("gmm", "otsu"):
        assert 0 <= threshold(heat.ravel(), ReadSettings(threshold=kind)) < 1


def test_one_cell_that_is_not_seen_counts_for_nothing():
    heat, seen = squares((0, 0, 2, 16, 1.0), (8, 8, 12, 12, 0.6)), SEEN.copy()
    seen[:4] = False
    found = boxes_of(heat, seen, 64, ReadSettings(threshold="fixed", value=0.5))
    np.testing.assert_allclose(found.boxes, [[8, 8, 12, 12]], atol=0.5)


def test_regions():
    heat = squares((1, 1, 5, 5, 0.9), (9, 8, 15, 15, 0.8))
    fixed = ReadSettings(threshold="fixed", value=0.5)

    def boxes(wanted=None, **changes):
        return boxes_of(heat, SEEN, 64, fixed.with_changes(**changes), wanted).boxes

    np.testing.assert_allclose(boxes(), [[1, 1, 15, 15]], atol=0.5)
    np.testing.assert_allclose(boxes(regions="largest"), [[8, 9, 15, 15]], atol=0.5)
    assert len(boxes(regions="each")) == 2
    assert len(boxes(regions="each", max_boxes=1)) == 1
    assert len(boxes(wanted=2)) == 2
    assert len(boxes(wanted=5)) == 2
    np.testing.assert_allclose(boxes(wanted=1), boxes())


def test_scores_are_the_mean_of_the_map_in_the_box():
    full = boxes_of(squares((4, 4, 12, 12, 1.0), background=0.0), SEEN, 16, ReadSettings(threshold="fixed"))
    assert full.scores == pytest.approx([1.0])
    nothing = boxes_of(squares((4, 4, 5, 5, 0.4), background=0.0), SEEN, 64, ReadSettings(threshold="fixed"))
    assert nothing.reason == NOTHING


def test_specks_go_and_the_border_stays():
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:5, 2:5] = True
    mask[6, 6] = True
    mask[0, 7] = True
    kept = without_specks(mask)
    corners = [(2, 2), (2, 4), (4, 2), (4, 4)]
    assert kept[0, 7]
    assert not kept[6, 6]
    assert not any(kept[corner] for corner in corners)
    assert kept.sum() == 9 - 4 + 1


def test_legacy_leaves_out_the_last_row_and_column():
    heat = squares((4, 4, 12, 12, 1.0), background=0.0)
    settings = ReadSettings(threshold="fixed", value=0.5)
    whole = boxes_of(heat, SEEN, 16, settings).boxes
    short = boxes_of(heat, SEEN, 16, settings.with_changes(legacy=True)).boxes
    np.testing.assert_array_equal(whole, [[4, 4, 12, 12]])
    np.testing.assert_array_equal(short, [[4, 4, 11, 11]])
