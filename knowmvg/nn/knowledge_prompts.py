"""Equations 7 to 9: the nodes of the knowledge graph that are nearest to a phrase become prompt tokens."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from knowmvg.nn.graph_convolution import GraphConvolution


@dataclass(frozen=True, slots=True)
class KnowledgeConfig:
    """How knowledge is chosen.

    Args:
        k: nodes a phrase; the paper gives no number, 5 is ours (docs/deviations.md).
        weighting: ``none`` takes the chosen embeddings as they are (the paper's words; no gradient reaches the
            similarity); ``softmax`` scales them by the softmax of their similarities, so that selection is learned.
        temperature: of that softmax and of the alignment loss.
        selection: ``similar`` (equation 8) or ``random`` (the control that the paper lacks).
    """

    k: int = 5
    weighting: str = "none"
    temperature: float = 0.1
    selection: str = "similar"


@dataclass(frozen=True, slots=True)
class KnowledgeChoice:
    """Prompt tokens ``[P, k, d]`` with the nodes ``[P, k]`` they come from and all similarities ``[P, N]``."""

    tokens: Tensor
    nodes: Tensor
    similarity: Tensor


class KnowledgePrompts(nn.Module):
    """The knowledge-enhanced prompting strategy (KPS).

    Node texts are encoded once by a frozen text encoder (equation 6) and kept as a buffer; the graph convolution is
    trained. Embeddings have the width of SAM's tokens and are prompts as they are. A graph of fewer than ``k`` nodes
    gives all of them: nodes are never duplicated.
    """

    node_features: Tensor
    adjacency: Tensor

    def __init__(self, node_features: Tensor, adjacency: Tensor, channels: int, config: KnowledgeConfig) -> None:
        super().__init__()
        if config.weighting not in ("none", "softmax") or config.selection not in ("similar", "random"):
            raise ValueError(f"expected weighting none|softmax and selection similar|random, got {config}")
        self.config = config
        self.register_buffer("node_features", node_features)
        self.register_buffer("adjacency", adjacency)
        self.convolution = GraphConvolution(node_features.shape[1], channels)

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
        return embedded

    def forward(self, box_embedding: Tensor) -> KnowledgeChoice:
        """The nodes nearest to each ``<BOX>`` embedding ``[P, d]`` (``H_out`` of equation 8 is that embedding)."""
        nodes = self.embeddings()
        similarity = F.normalize(box_embedding, dim=-1) @ F.normalize(nodes, dim=-1).T
        k = min(self.config.k, len(nodes))
        ranked = torch.rand_like(similarity) if self.config.selection == "random" else similarity
        chosen = ranked.topk(k, dim=-1).indices
        tokens = nodes[chosen]
        if self.config.weighting == "softmax":
            weights = (similarity.gather(1, chosen) / self.config.temperature).softmax(dim=-1)
            tokens = tokens * weights.unsqueeze(-1) * k
        return KnowledgeChoice(tokens, chosen, similarity)
