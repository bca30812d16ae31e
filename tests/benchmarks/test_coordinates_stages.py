"""The rows of PFMVG's ablation: their recipes, and the figures that are made of their overlaps."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from knowmvg.training.recipe import read_recipe

PATH = Path(__file__).parents[2] / "benchmarks" / "coordinates_stages.py"
SPEC = importlib.util.spec_from_file_location("benchmark_coordinates_stages", PATH)
stages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(stages)


def test_rows_are_the_recipe_with_stages_left_out():
    recipes = {name: read_recipe(stages.RECIPE, off) for name, off in stages.ROWS.items()}
    assert list(recipes) == list(stages.PUBLISHED) == ["none", "stage-2", "stage-1", "both"]
    taken = {name: (recipe.caption.epochs > 0, recipe.grounding.epochs > 0) for name, recipe in recipes.items()}
    assert taken == {
        "none": (False, False),
        "stage-2": (False, True),
        "stage-1": (True, False),
        "both": (True, True),
    }
    assert recipes["none"].scratch == recipes["both"].scratch


def test_figures_of_a_row_are_means_over_seeds_findings_and_phrases():
    asked = SimpleNamespace(findings=["edema", "nodule", "edema", "edema"], patients=["a", "b", "c", "d"])
    row, both = [[0.2, 1.0, 0.4, 0.0], [0.4, 1.0, 0.6, 0.0]], [[0.5, 1.0, 0.5, 0.5]]
    found = stages.figures(row, both, asked)
    assert found["iou"] == {"edema": 0.2667, "nodule": 1.0, "mean": 0.6333, "weighted": 0.45}
    assert found["dice"]["nodule"] == 1
    assert found["dice"]["edema"] == pytest.approx((0.3333 + 0.5714 + 0.5714 + 0.75) / 6, abs=1e-3)
    assert found["seeds"] == [0.4, 0.5]
    assert found["minus_both"]["value"] == pytest.approx(0.45 - 0.625)
    assert "minus_both" not in stages.figures(both, both, asked)
