"""The benchmark of training writes every figure that it promises, on a SAM of the real class, whatever its size."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.tiny import TINY

FOLDER = Path(__file__).parents[2] / "benchmarks"
SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "global_attn_indexes": [1], "mlp_dim": 24}


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("training")


@pytest.mark.slow
def test_every_figure_is_there(training: ModuleType, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(TINY), encoding="utf-8")
    vision = {**SMALL, "image_size": 128, "patch_size": 16}
    cases = {"tiny": training.Case(recipe, importlib.import_module("doctor").FEW)}
    figures = training.measure(tmp_path / "work", 1, vision, cases, TINY["data"]["studies"])
    assert figures["cached_step_speedup"] == figures["uncached_step_seconds"] / figures["cached_step_seconds"]
    assert figures["cache_bytes_an_image"] == 256 * 8 * 8 * 2
    estimate, found = (figures["memory_estimate"]["tiny"][name] for name in ("estimate", "measured"))
    assert figures["memory_estimate_error"] == pytest.approx(abs(estimate - found) / found, abs=1e-4)
