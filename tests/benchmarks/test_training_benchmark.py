"""The benchmark of training steps runs on a SAM of the real class, whatever its size."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "training.py"
SPEC = importlib.util.spec_from_file_location("benchmark_training", PATH)
training = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(training)

SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "global_attn_indexes": [1], "mlp_dim": 24}


@pytest.mark.slow
def test_both_kinds_of_step_are_timed(tmp_path: Path) -> None:
    figures = training.cached_step(tmp_path, 1, {**SMALL, "image_size": 128, "patch_size": 16})
    assert figures["cached_step_speedup"] == figures["uncached_step_seconds"] / figures["cached_step_seconds"]
    assert figures["cache_bytes_an_image"] == 256 * 8 * 8 * 2
