"""Equations 7 to 9 in their options: depth, relations, ``H_out``."""

from __future__ import annotations

import pytest
import torch

from knowmvg.nn.graph_convolution import GraphConvolution, RelationalGraphConvolution
from knowmvg.nn.knowledge_prompts import KnowledgeConfig, KnowledgePrompts
from knowmvg.nn.text_encoder import encode_nodes


def parts(nodes: int = 6) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.rand(3, nodes, nodes)


def test_equal_matrices_make_the_relational_form_the_plain_one():
    torch.manual_seed(0)
    plain, relational = GraphConvolution(5, 4), RelationalGraphConvolution(5, 4, 3)
    for weight in relational.weights:
        weight.load_state_dict(plain.weight.state_dict())
    nodes = torch.randn(6, 5)
    torch.testing.assert_close(relational(nodes, parts()), plain(nodes, parts().sum(dim=0)))


def test_each_relation_has_a_matrix_that_only_its_edges_read():
    torch.manual_seed(0)
    layer, nodes = RelationalGraphConvolution(5, 4, 3), torch.randn(6, 5)
    adjacency = parts()
    adjacency[2] = 0
    layer(nodes, adjacency).sum().backward()
    reached = [weight.weight.grad is not None and bool(weight.weight.grad.abs().sum() > 0) for weight in layer.weights]
    assert reached == [True, True, False]


def test_depth_carries_a_node_as_far_as_there_are_layers():
    path = torch.eye(4) + torch.diag(torch.ones(3), 1) + torch.diag(torch.ones(3), -1)
    features = torch.eye(4)
    for layers in (1, 2, 3):
        torch.manual_seed(1)
        prompts = KnowledgePrompts(features, path, 8, KnowledgeConfig(layers=layers))
        before = prompts.embeddings()
        prompts.node_features = features + torch.diag(torch.tensor([0.0, 0, 0, 5]))
        changed = (prompts.embeddings() - before).abs().sum(dim=1) > 1e-6
        assert changed.tolist() == [distance <= layers for distance in (3, 2, 1, 0)]


def test_one_layer_has_the_weights_that_it_always_had():
    prompts = KnowledgePrompts(torch.randn(6, 5), torch.eye(6), 8, KnowledgeConfig())
    wanted = {"node_features", "adjacency", "convolution.weight.weight", "convolution.norm.weight"}
    assert set(prompts.state_dict()) == wanted | {"convolution.norm.bias"}


def test_the_state_query_has_a_map_of_its_own_and_the_others_none():
    sizes = {}
    for query in ("box", "state", "answer"):
        prompts = KnowledgePrompts(torch.randn(6, 5), torch.eye(6), 8, KnowledgeConfig(k=2, query=query), 12)
        assert prompts.query == query
        assert prompts(torch.randn(3, 12 if query == "state" else 8)).tokens.shape == (3, 2, 8)
        sizes[query] = sum(p.numel() for p in prompts.parameters())
    assert sizes["box"] == sizes["answer"] == sizes["state"] - (12 * 8 + 8)


def test_softmax_weights_teach_the_selection_and_plain_ones_do_not():
    for weighting in ("none", "softmax"):
        torch.manual_seed(0)
        prompts = KnowledgePrompts(torch.randn(6, 5), torch.eye(6), 8, KnowledgeConfig(k=2, weighting=weighting))
        query = torch.randn(3, 8, requires_grad=True)
        (prompts(query).tokens ** 2).sum().backward()
        assert (query.grad is not None) == (weighting == "softmax")


def test_a_small_graph_gives_each_node_once():
    chosen = KnowledgePrompts(torch.randn(3, 5), torch.eye(3), 8, KnowledgeConfig(k=5))(torch.randn(4, 8))
    assert chosen.tokens.shape == (4, 3, 8)
    assert all(sorted(row) == [0, 1, 2] for row in chosen.nodes.tolist())


@pytest.mark.parametrize("wrong", [{"query": "all"}, {"layers": 0}, {"weighting": "hard"}, {"selection": "best"}])
def test_unknown_choices_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        KnowledgePrompts(torch.randn(3, 5), torch.eye(3), 8, KnowledgeConfig(**wrong))


def test_pooling_reads_the_words_and_no_padding():
    states = {"a": [[1.0, 2], [3, 4]], "b": [[5.0, 6]], "c": [[9.0, 1], [2, 2], [4, 0]]}

    def encode(texts):
        padded = torch.full((len(texts), 3, 2), 1e6)
        mask = torch.zeros(len(texts), 3)
        for row, text in enumerate(texts):
            padded[row, : len(states[text])] = torch.tensor(states[text])
            mask[row, : len(states[text])] = 1
        return padded, mask

    for pooling, wanted in (("mean", [[2.0, 3], [5, 6], [5, 1]]), ("cls", [[1.0, 2], [5, 6], [9, 1]])):
        raw = torch.tensor(wanted)
        standardised = (raw - raw.mean(dim=0)) / raw.std(dim=0, correction=0)
        for batch in (1, 2, 64):
            found = encode_nodes(list("abc"), encode, batch, pooling)
            torch.testing.assert_close(found, standardised)
            assert not found.requires_grad
