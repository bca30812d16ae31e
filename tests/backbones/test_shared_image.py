"""Several reports on one image: it is encoded and read once, and every answer is what it is alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from knowmvg.core.records import Study
from knowmvg.grounders.backbones.load import LoadedBackbone
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.nn.backbones.backbone import Backbone
from tests.backbones.test_grounding import grounder_on
from tests.grounders.conftest import labelled_study

REPORTS = ("Small nodule.", "Small left pleural effusion. No pneumothorax.", "Bilateral edema is present.")


def asked() -> list[Study]:
    study = labelled_study()
    return [replace(study, report=report, id=report) for report in REPORTS]


def grounder(backbone: LoadedBackbone) -> PromptedGrounder:
    graph = build_graph([label.phrase for label in labelled_study().labels], load_atlas())
    made = grounder_on(backbone, graph)
    made.max_new_tokens = 12
    return made


@pytest.mark.parametrize("name", ["llava", "qwen3_vl", "gemma3"])
def test_the_image_is_read_once_and_the_states_are_those_of_single_studies(
    name: str, kept: Callable[[str], LoadedBackbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, shown, read = grounder(kept(name)), [], []
    plain_look, plain_read = Backbone.look, Backbone.read

    def look(self: Backbone, pictures: dict[str, torch.Tensor]) -> torch.Tensor:
        tokens = plain_look(self, pictures)
        shown.append(len(tokens))
        return tokens

    def reading(self: Backbone, input_ids: torch.Tensor, *args: object, **more: object) -> torch.Tensor:
        read.append(int((input_ids == self.image_token_id).sum()))
        return plain_read(self, input_ids, *args, **more)

    monkeypatch.setattr(Backbone, "look", look)
    monkeypatch.setattr(Backbone, "read", reading)
    seen, frames = model._encode(asked())
    assert seen.shared
    assert (shown, len(frames), len(seen.map)) == ([1], 3, 3)
    together = model._generate(asked(), seen)
    groups = sum(count > 0 for count in read)  # Gemma's window takes questions of one length together
    assert sum(read) == groups * model.backbone.vlm.image_length
    assert groups == 1 or name == "gemma3"
    for study, answer in zip(asked(), together, strict=True):
        alone, _ = model._encode([study])
        assert not alone.shared
        (single,) = model._generate([study], alone)
        assert [p.text for p in answer.phrases] == [p.text for p in single.phrases]
        torch.testing.assert_close(answer.states, single.states, atol=1e-4, rtol=1e-4)


def test_some_images_in_common_go_to_their_own_studies(kept: Callable[[str], LoadedBackbone]) -> None:
    model, first, other = grounder(kept("llava")), labelled_study(), labelled_study(3)
    mixed = [first, other, replace(first, report=REPORTS[0])]
    seen, _ = model._encode(mixed)
    assert not seen.shared
    for row, study in enumerate(mixed):
        alone, _ = model._encode([study])
        torch.testing.assert_close(seen.map[row], alone.map[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(seen.tokens[row], alone.tokens[0], atol=1e-5, rtol=1e-5)
