"""The benchmark of a diffusion model's maps, with a tiny model that has learnt nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from knowmvg.core.records import LabelledPhrase, Phrase, Radiograph, Study
from knowmvg.grounders.diffusion.settings import ReadSettings

ROOT = Path(__file__).parents[2]
TEXTS = ("left pleural effusion", "nodule in the right upper lobe", "bilateral edema")


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "grounders" / "diffusing"))
    import diffusion_maps
    import tiny_diffusion

    return diffusion_maps, tiny_diffusion.parts()


def study(seed: int) -> Study:
    rng = np.random.default_rng(seed)
    boxes = np.array([[5.0, 5.0, 25.0, 25.0]])
    labels = tuple(LabelledPhrase(Phrase(text=text), boxes) for text in rng.permutation(TEXTS)[: 1 + seed % 2])
    return Study(Radiograph(rng.random((32, 32)).astype(np.float32)), "report", f"s{seed}", f"p{seed}", labels)


def test_all_rows_are_there_and_a_model_without_learning_is_no_better(measured):
    module, parts = measured
    studies = [study(seed) for seed in range(8)]
    settings = ReadSettings(steps=4, window=(0, 4), bias_guidance=2)
    found = module.measure_maps(parts, settings, studies, 6, 1)
    assert json.loads(json.dumps(found)).keys() >= {"rows", "over_shuffled", "over_random", "over_attention", "merging"}
    assert found["rows"].keys() == {"trained", "shuffled", "random"}
    names = {"attention", "noise_difference", "attention_and_noise", "attention_half_the_passes"}
    for row in found["rows"].values():
        assert row.keys() == names
        assert all(one["phrases"] == 12 for one in row.values())
    trained = found["rows"]["trained"]
    assert trained["attention"]["unet_passes"] == 4 * 12
    assert trained["noise_difference"]["unet_passes"] == 2 * (12 + 8)  # half the steps, one more pass a study
    for over in (found["over_random"], found["over_shuffled"]):
        gap = over["attention"]["auroc"]
        assert gap["low"] <= gap["value"] <= gap["high"]
    (merging,) = found["merging"]
    assert merging["matmul"]["unet_passes"] == merging["hadamard"]["unet_passes"]
    assert merging["off"]["auroc"] != merging["matmul"]["auroc"]


def test_other_phrases_are_those_of_another_patient(measured):
    module, _ = measured
    studies = [study(seed) for seed in range(8)]
    own, other = module.own_phrases(studies), module.other_phrases(studies, 0)
    assert [len(row) for row in own] == [len(row) for row in other]
    assert own != other
