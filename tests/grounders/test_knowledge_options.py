"""Knowledge by recipe in a whole grounder: depth, relations and ``H_out`` change the choice and keep every promise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from knowmvg.core.grounder import Query
from knowmvg.core.records import Phrase, Study
from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.limits import AnswerLimits
from knowmvg.grounders.prompted.variants import ModelConfig, knowmvg
from knowmvg.grounders.store import load_grounder
from knowmvg.nn.knowledge_prompts import KnowledgeConfig
from tests.grounders.conftest import REPORT, labelled_study, radiograph, tiny_config, tiny_grounder

OPTIONS = {
    "deep": KnowledgeConfig(layers=2),
    "weighted": KnowledgeConfig(relations={"located_in": 0.3}),
    "relational": KnowledgeConfig(relational=True, layers=2, relations={"located_in": 2.0}),
    "state": KnowledgeConfig(query="state"),
    "answer": KnowledgeConfig(query="answer", weighting="softmax"),
}
QUERIES = [Query(Phrase(text="left pleural effusion"), 1), Query(Phrase(text="bilateral edema"), 2)]
STUDIES = [Study(radiograph(w, h, i), REPORT, f"s{i}") for i, (w, h) in enumerate([(90, 70), (64, 64), (41, 130)])]


@pytest.fixture(params=sorted(OPTIONS))
def grounder(request, tokenizer, graph):
    return tiny_grounder(knowmvg(knowledge=OPTIONS[request.param]), tokenizer, graph)


def similarities(answer):
    return [[node.similarity for node in phrase.evidence.knowledge] for phrase in answer.phrases]


def test_a_batch_is_its_singles(grounder):
    asked = [QUERIES, QUERIES[:1], QUERIES]
    for study, queries, answer in zip(STUDIES, asked, grounder.ground_phrases(STUDIES, asked), strict=True):
        alone = grounder.ground_phrases([study], [queries])[0]
        np.testing.assert_allclose(similarities(answer)[0], similarities(alone)[0], atol=2e-4)
        for a, b in zip(answer.phrases, alone.phrases, strict=True):
            np.testing.assert_allclose([r.xyxy for r in a.boxes], [r.xyxy for r in b.boxes], atol=1e-3)


def test_saved_and_loaded_it_answers_alike(grounder, tmp_path: Path):
    grounder.model.half().float()
    before = grounder.ground_phrases(STUDIES, [QUERIES] * 3)
    store.save(grounder, tmp_path / "model")
    assert load_grounder(tmp_path / "model").ground_phrases(STUDIES, [QUERIES] * 3) == before


def test_knowledge_can_be_taken_away(grounder, graph):
    hidden = set(graph.texts[::2])
    answer = grounder.without_knowledge(hidden).ground_phrases(STUDIES[:1], [QUERIES])[0]
    assert all(not {node.text for node in phrase.evidence.knowledge} & hidden for phrase in answer.phrases)
    entities = {node.text for node in graph.nodes if node.kind == "site"}  # no fact is left
    assert grounder.without_knowledge(entities).ground_phrases(STUDIES[:1], [QUERIES])[0].phrases[0].boxes


def test_it_learns_and_every_new_weight_gets_a_gradient(grounder):
    batch = grounder.collate([grounder.example(labelled_study(seed)) for seed in range(2)])
    grounder.model.train()
    sum(grounder.losses(batch).values()).backward()
    mine = {name: p for name, p in grounder.trainable().items() if name.startswith("knowledge.")}
    assert mine
    assert all(p.grad is not None for p in mine.values())


def test_the_answer_query_is_one_for_a_study_and_the_others_one_a_phrase(tokenizer, graph):
    for name, options in OPTIONS.items():
        grounder = tiny_grounder(knowmvg(knowledge=options), tokenizer, graph)
        one, other = similarities(grounder.ground_phrases(STUDIES[:1], [QUERIES])[0])
        assert (one == other) == (name == "answer")


def test_padding_of_a_generated_batch_is_no_part_of_an_answer(tokenizer, graph):
    """An answer that ends early is filled up in its batch; its mean must not change by that."""
    grounder = tiny_grounder(knowmvg(knowledge=OPTIONS["answer"]), tokenizer, graph)
    grounder.limits = AnswerLimits(max_new_tokens=12)
    end, lengths = tokenizer.end, []
    vlm = grounder.model.vlm
    made = vlm.generate

    def ends_early(*args, **settings):
        generated = made(*args, **settings)
        generated.ids[0, 2:] = end
        return generated

    vlm.generate = ends_early
    seen, _ = grounder._encode(STUDIES[:2])
    for answer in grounder._generate(STUDIES[:2], seen):
        lengths.append(len(answer.states))
    assert lengths[0] == 3
    assert lengths[1] > 3


def test_the_mean_of_an_answer_in_training_is_that_of_its_tokens(tokenizer, graph):
    grounder = tiny_grounder(knowmvg(), tokenizer, graph)
    examples = [grounder.example(labelled_study(seed)) for seed in range(2)]
    batch = grounder.collate(examples)
    states = torch.randn(2, batch.input_ids.shape[1], 5)
    boxes, means = batch.emitting(states)
    assert torch.equal(boxes, states[batch.box_rows, batch.box_columns])
    for row, mean in zip(batch.box_rows.tolist(), means, strict=True):
        start = len(examples[row].prompt) - 1
        torch.testing.assert_close(mean, states[row, start : start + len(examples[row].answer)].mean(dim=0))


def test_configurations_survive_json(tokenizer):
    for options in OPTIONS.values():
        config = tiny_config(tokenizer, knowmvg(knowledge=options))
        assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
