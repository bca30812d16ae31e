"""Under autocast the language model alone computes in half precision."""

from __future__ import annotations

import pytest
import torch

from knowmvg.grounders.prompted.model import Placed, PromptedModel
from knowmvg.grounders.prompted.tokenizer import GroundingTokenizer
from knowmvg.grounders.prompted.variants import knowmvg
from knowmvg.knowledge.graph import KnowledgeGraph
from tests.grounders.conftest import labelled_study, tiny_grounder


def test_boxes_are_decoded_in_single_precision(
    tokenizer: GroundingTokenizer, graph: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    grounder = tiny_grounder(knowmvg(), tokenizer, graph)
    batch = grounder.collate([grounder.example(labelled_study())])
    placed: list[Placed] = []
    place = PromptedModel.place

    def kept(self: PromptedModel, *args: torch.Tensor) -> Placed:
        assert not torch.is_autocast_enabled("cpu")
        placed.append(place(self, *args))
        return placed[-1]

    monkeypatch.setattr(PromptedModel, "place", kept)
    whole = grounder.losses(batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = grounder.losses(batch)
    assert placed[1].decoded.boxes.xyxy.dtype == torch.float32
    assert half.keys() == whole.keys()
    assert all(bool(value.isfinite()) and value.dtype == torch.float32 for value in half.values())
    for name, value in whole.items():
        torch.testing.assert_close(half[name], value, rtol=0.1, atol=0.05, msg=name)
