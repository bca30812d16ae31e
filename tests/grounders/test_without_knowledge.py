"""Knowledge taken from a grounder: the seam that the faithfulness of its evidence is tested by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from knowmvg.core.grounder import KnowledgeGrounder, Query
from knowmvg.grounders.prompted.grounder import PromptedGrounder
from knowmvg.grounders.prompted.variants import VARIANTS
from knowmvg.knowledge.graph import KnowledgeGraph
from tests.grounders.conftest import labelled_study, tiny_grounder

STUDY = labelled_study()
QUERIES = [Query(label.phrase) for label in STUDY.labels if label.phrase.assertion.placed]


def asked(grounder):
    return grounder.ground_phrases([STUDY], [QUERIES])[0].phrases


def cited(grounder):
    return [{node.text for node in phrase.evidence.knowledge} for phrase in asked(grounder)]


def test_hidden_nodes_are_never_cited_and_others_take_their_places(tokenizer, graph):
    grounder = tiny_grounder(VARIANTS["knowmvg"](), tokenizer, graph)
    assert isinstance(grounder, KnowledgeGrounder)
    assert set(grounder.knowledge) == set(graph.texts)
    before, answer = cited(grounder), asked(grounder)
    hidden = before[0]
    part = grounder.without_knowledge(hidden)
    assert all(not found & hidden and len(found) == len(hidden) for found in cited(part))
    assert asked(part) != answer
    assert asked(grounder) == answer  # the grounder itself lost nothing
    assert grounder.without_knowledge([]) is grounder
    alone = grounder.without_knowledge(set(graph.texts) - {graph.texts[0]})
    assert cited(alone) == [{graph.texts[0]}] * 2
    none = grounder.without_knowledge(graph.texts)
    assert cited(none) == [set()] * 2
    assert all(phrase.boxes for phrase in asked(none))


def test_a_variant_without_knowledge_has_none_to_take(tokenizer, graph):
    grounder = tiny_grounder(VARIANTS["gla"](), tokenizer, graph)
    assert grounder.knowledge == ()
    assert grounder.without_knowledge(graph.texts) is grounder


def test_the_smaller_graph_is_the_graph_of_its_nodes(tokenizer, graph):
    kept = list(range(0, len(graph.nodes), 2))
    part = graph.only(kept)
    assert part.nodes == tuple(graph.nodes[k] for k in kept)
    whole = np.zeros((len(graph.nodes),) * 2)
    whole[tuple(graph.adjacency())] = 1
    expected = whole[np.ix_(kept, kept)]
    found = np.zeros_like(expected)
    found[tuple(part.adjacency())] = 1
    assert np.array_equal(found, expected)
    assert KnowledgeGraph.model_validate_json(part.model_dump_json(by_alias=True)) == part
    with pytest.raises(ValueError, match="at least 1"):
        graph.only([])
    # hiding nodes is the same as a model that was loaded with the smaller graph
    grounder = tiny_grounder(VARIANTS["kps"](), tokenizer, graph)
    hidden = [graph.texts[k] for k in range(len(graph.texts)) if k not in kept]
    smaller = grounder.without_knowledge(hidden)
    assert isinstance(smaller, PromptedGrounder)
    prompts = grounder.model.knowledge
    embedded = prompts.convolution(prompts.node_features[kept], torch.from_numpy(part.normalised_adjacency()))
    assert torch.equal(smaller.model.knowledge.embeddings(), embedded)
