"""Equations 7 to 9: the nodes of the knowledge graph that are nearest to a phrase become prompt tokens."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from knowmvg.nn.graph_convolution import graph_convolution

QUERIES = ("box", "state", "answer")


@dataclass(frozen=True, slots=True)
class KnowledgeConfig:
    """How knowledge is chosen.

    Args:
        k: nodes a phrase; the paper gives no number, 5 is ours (docs/deviations.md).
        weighting: ``none`` takes the chosen embeddings as they are (the paper's words; no gradient reaches the
            similarity); ``softmax`` scales them by the softmax of their similarities, so that selection is learned.
        temperature: of that softmax and of the alignment loss.
        selection: ``similar`` (equation 8) or ``random`` (the control that the paper lacks).
        layers: graph convolutions one after the other (equation 7); the paper gives no number.
        relations: weights of the relations that enter the adjacency; ``None`` takes all, each with weight 1.
        relational: whether each relation has a weight matrix of its own.
        query: ``H_out`` of equation 8: ``box`` is the projected ``<BOX>`` embedding, ``state`` the hidden state that
            it is projected from (through a map of its own), ``answer`` the projected mean of the states that emit the
            study's whole answer, the same for all its phrases.
    """

    k: int = 5
    weighting: str = "none"
    temperature: float = 0.1
    selection: str = "similar"
    layers: int = 1
    relations: dict[str, float] | None = None
    relational: bool = False
    query: str = "box"


class KnowledgeChoice(NamedTuple):  # a tuple: DeepSpeed's ZeRO-3 finds tensors in no other class
    """Prompt tokens ``[P, k, d]`` with the nodes ``[P, k]`` they come from and all similarities ``[P, N]``."""

    tokens: Tensor
    nodes: Tensor
    similarity: Tensor


class KnowledgePrompts(nn.Module):
    """The knowledge-enhanced prompting strategy (KPS).

    Node texts are encoded once by a frozen text encoder (equation 6) and kept as a buffer; the graph convolution is
    trained. Embeddings have the width of SAM's tokens and are prompts as they are. A graph of fewer than ``k`` nodes
    gives all of them: nodes are never duplicated.

    Args:
        node_features: ``[N, D]`` encoded node texts.
        adjacency: ``[N, N]`` normalised, or ``[parts, N, N]`` in parts by relation.
        channels: ``d``, the width of prompt tokens.
        config: how knowledge is chosen.
        state_width: width of the hidden states, which the query ``state`` is mapped from.
    """

    node_features: Tensor
    adjacency: Tensor

    def __init__(
        self,
        node_features: Tensor,
        adjacency: Tensor,
        channels: int,
        config: KnowledgeConfig,
        state_width: int | None = None,
    ) -> None:
        super().__init__()
        if config.query not in QUERIES or config.layers < 1:
            raise ValueError(f"expected a query of {'|'.join(QUERIES)} and 1 layer or more, got {config}")
        if config.weighting not in ("none", "softmax") or config.selection not in ("similar", "random"):
            raise ValueError(f"expected weighting none|softmax and selection similar|random, got {config}")
        self.config = config
        self.register_buffer("node_features", node_features)
        self.register_buffer("adjacency", adjacency)
        self.convolution = graph_convolution(node_features.shape[1], channels, adjacency)
        self.deeper = nn.ModuleList(graph_convolution(channels, channels, adjacency) for _ in range(config.layers - 1))
        self.of_state = nn.Linear(state_width or channels, channels) if config.query == "state" else nn.Identity()

    def only(self, kept: Sequence[int], adjacency: Tensor) -> KnowledgePrompts:
        """The same trained convolution on the nodes ``kept`` alone, with their own normalised adjacency."""
        part = copy(self)
        part._buffers = dict(self._buffers)
        part.node_features = self.node_features[list(kept)]
        part.adjacency = adjacency.to(self.adjacency)
        return part

    def embeddings(self) -> Tensor:
        """``H`` of equation 7, ``[N, d]``: once a step, not once a sample."""
        embedded: Tensor = self.convolution(self.node_features, self.adjacency)
        for convolution in self.deeper:
            embedded = convolution(embedded, self.adjacency)
        return embedded

    @property
    def query(self) -> str:
        """Which ``H_out`` it is to be given: ``KnowledgeConfig.query``."""
        return self.config.query

    def forward(self, output: Tensor) -> KnowledgeChoice:
        """The nodes nearest to each ``H_out`` of equation 8, ``[P, d]`` (hidden states ``[P, D]`` with ``state``)."""
        nodes = self.embeddings()
        similarity = F.normalize(self.of_state(output), dim=-1) @ F.normalize(nodes, dim=-1).T
        k = min(self.config.k, len(nodes))
        ranked = torch.rand_like(similarity) if self.config.selection == "random" else similarity
        chosen = ranked.topk(k, dim=-1).indices
        tokens = nodes[chosen]
        if self.config.weighting == "softmax":
            weights = (similarity.gather(1, chosen) / self.config.temperature).softmax(dim=-1)
            tokens = tokens * weights.unsqueeze(-1) * k
        return KnowledgeChoice(tokens, chosen, similarity)
