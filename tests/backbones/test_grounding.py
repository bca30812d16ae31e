"""A grounder on a tiny model of a real class: taught, saved, loaded, asked."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from knowmvg.core.grounder import Query
from knowmvg.core.records import Phrase
from knowmvg.grounders.backbones.load import LoadedBackbone
from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.variants import ModelConfig, build_model, knowmvg
from knowmvg.grounders.store import fingerprint, load_grounder
from knowmvg.knowledge.build import build_graph
from knowmvg.knowledge.graph import KnowledgeGraph
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.nn.image_encoder import ImageEncoderConfig
from knowmvg.nn.prompt_encoder import PromptConfig
from tests.grounders.conftest import labelled_study


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return build_graph([label.phrase for label in labelled_study().labels], load_atlas())


def grounder_on(backbone: LoadedBackbone, graph: KnowledgeGraph) -> PromptedGrounder:
    torch.manual_seed(1)
    config = ModelConfig(
        None,
        ImageEncoderConfig(canvas=64, channels=16, widths=(8, 8, 16), blocks=(1, 1, 1), attention=1, heads=2),
        PromptConfig(channels=16, canvas=64, grid=8, mlp=16, heads=2),
        knowmvg(),
    )
    nodes = torch.randn(len(graph.texts), 12)
    adjacency = torch.from_numpy(graph.normalised_adjacency())
    model = build_model(config, nodes, adjacency, language=backbone.vlm).eval()
    return PromptedGrounder(model, config, backbone.tokenizer, graph, "tiny", backbone=backbone)


@pytest.mark.parametrize("name", ["llava", "qwen3_vl"])
def test_a_grounder_on_a_backbone_learns_and_comes_back_from_its_folder(
    name: str, load: Callable[..., LoadedBackbone], graph: KnowledgeGraph, tmp_path: Path
) -> None:
    backbone = load(name)
    grounder = grounder_on(backbone, graph)
    study = labelled_study()
    batch = grounder.collate([grounder.example(study), grounder.example(labelled_study(1))])
    assert batch.boxes.shape == (6, 4)
    optimizer = torch.optim.AdamW(grounder.trainable().values(), lr=0.02)
    course = []
    grounder.model.train()
    for _ in range(6):
        terms = grounder.losses(batch)
        total = torch.stack([terms[term] for term in ("text", "box_l1", "box_giou")]).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        course.append(float(total.detach()))
    assert course[-1] < 0.9 * course[0]
    grounder.model.eval()
    store.save(grounder, tmp_path / "model")
    size = sum(file.stat().st_size for file in (tmp_path / "model").rglob("*.safetensors"))
    base = sum(tensor.numel() for tensor in backbone.vlm.model.state_dict().values())
    assert size < 4 * base  # the base is named, not copied
    read = load_grounder(tmp_path / "model")
    assert len(fingerprint(tmp_path / "model")) == 64
    queries = [[Query(Phrase(text="Small left pleural effusion"), 1), Query(Phrase(text="Bilateral edema"), 2)]]
    (ours,), (theirs,) = grounder.ground_phrases([study], queries), read.ground_phrases([study], queries)
    assert [len(phrase.boxes) for phrase in theirs.phrases] == [1, 2]
    for one, other in zip(ours.phrases, theirs.phrases, strict=True):
        for a, b in zip(one.boxes, other.boxes, strict=True):
            assert a.xyxy == pytest.approx(b.xyxy, abs=0.5)  # the decoders are half precision on disk
    assert read.ground([study])[0].image_size == study.image.size


def test_given_phrases_are_placed_at_the_states_of_their_tokens(
    kept: Callable[[str], LoadedBackbone], graph: KnowledgeGraph
) -> None:
    grounder = grounder_on(kept("smolvlm"), graph)
    query = Query(Phrase(text="Small left pleural effusion"), None)  # the model says how many boxes
    (grounding,) = grounder.ground_phrases([labelled_study()], [[query]])
    assert 1 <= len(grounding.phrases[0].boxes) <= 4


def test_a_phrase_that_does_not_fit_goes_with_its_boxes(
    load: Callable[..., LoadedBackbone], graph: KnowledgeGraph
) -> None:
    grounder = grounder_on(load("llava"), graph)
    whole = grounder.example(labelled_study())
    size = len(whole.prompt) + len(whole.answer)
    tight = grounder_on(load("llava", max_length=size - 1), graph).example(labelled_study())
    assert (whole.left_out, tight.left_out) == (0, 1)
    assert (len(whole.boxes), len(tight.boxes)) == (3, 1)  # the edema has two boxes and stands last
    assert tight.answer.count(grounder.tokenizer.box) == len(tight.boxes) == len(tight.masks) == len(tight.related)
