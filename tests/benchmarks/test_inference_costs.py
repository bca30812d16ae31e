"""The benchmark of generation and KnowMVG's additions, on its smallest model, and that of wordings."""

import importlib
from pathlib import Path

import pytest
import torch

from knowmvg.core.records import Phrase

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_every_figure_is_there_and_the_cache_writes_the_same(benchmark):
    inference = benchmark("inference")
    figures = inference.measure("smallest", torch.device("cpu"), 1, 2)
    for name in ("kv_cache_speedup", "eight_phrases_over_one", "kps_gla_overhead"):
        assert figures[name] > 0
    assert set(figures["train_step_s"]) == set(figures["study_s"]) == {"baseline", "knowmvg"}
    assert figures["trained"]["knowmvg"] > figures["trained"]["baseline"]


def test_by_hand_or_by_the_class_a_picture_is_read_alike(benchmark):
    models = benchmark("sized_models")
    size = models.SIZES["smallest"]
    torch.manual_seed(0)
    ours = models.build_backbone(size, torch.device("cpu"), torch.float32)
    by_hand = models._OwnReading(ours.model, size.image_length, image_token_id=models.IMAGE)
    ids = torch.tensor([[1, *[models.IMAGE] * size.image_length, 20, 30, models.BOX, 40]])
    picture = {"pixel_values": torch.randn(1, 3, size.picture, size.picture)}
    tokens = ours.look(picture)
    torch.testing.assert_close(tokens, by_hand.look(picture), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours(ids, None, tokens), by_hand(ids, None, tokens), atol=1e-5, rtol=1e-5)


def test_the_full_size_is_that_of_the_published_models(benchmark):
    models = benchmark("sized_models")
    size, nowhere = models.SIZES["full"], torch.device("meta")
    base = models.build_backbone(size, nowhere, torch.bfloat16)
    frozen = sum(p.numel() for p in base.parameters() if not p.requires_grad)
    assert frozen == pytest.approx(7.063e9, rel=1e-3)  # docs/backbones.md counts the published configuration
    assert sum(p.numel() for p in models.build_sam(size, nowhere, torch.bfloat16).parameters()) == pytest.approx(
        0.637e9, rel=1e-2
    )


def test_wordings_are_told_apart_by_whole_words(benchmark):
    small = benchmark("small")
    groups = small.wordings(["There is a pleural  effusion.", "Cardiomegalyx is no word."])
    assert "pleural effusion" in groups["seen"]
    assert "cardiomegaly" in groups["unseen"]
    assert not set(groups["seen"]) & set(groups["unseen"])


def test_open_i_figures_count_what_is_named(benchmark):
    small = benchmark("small")
    findings = "Left pleural effusion. No pneumothorax."
    row = {"findings": findings, "mesh_major": ["Pleural Effusion/left"]}
    plain = {"findings": "No pneumothorax.", "mesh_major": ["normal"]}
    text = small.assemble(row)
    start, denied = text.index("Left"), text.index("pneumothorax")
    right = Phrase(text="Left pleural effusion", span=(start, start + 21))
    wrong = Phrase(text="pneumothorax", span=(denied, denied + 12))
    good = small.on_open_i([row, plain], [[right], []])
    assert (good["found"], good["right"], good["absent_left_alone"], good["normal_left_alone"]) == (1, 1, 1, 1)
    bad = small.on_open_i([row, plain], [[wrong], [Phrase(text="made up")]])
    assert (bad["found"], bad["absent_left_alone"], bad["normal_left_alone"]) == (0, 0.5, 0)
    assert bad["standing_in_report"] == 0.5
