"""Equation 7: graph convolution over the knowledge graph (Kipf and Welling, ICLR 2017), also by relation."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class GraphConvolution(nn.Module):
    """``H = LayerNorm(ReLU(Â X W))`` with ``Â = D^-1/2 (A + I) D^-1/2`` given.

    The paper leaves the number of layers, the activation and the normalisation open: one layer, ReLU, and a LayerNorm
    so that node embeddings have the scale of SAM's tokens (docs/deviations.md).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Nodes ``[N, inputs]`` and the normalised adjacency ``[N, N]`` to embeddings ``[N, outputs]``."""
        return cast(Tensor, self.norm((adjacency @ self.weight(nodes)).relu()))


class RelationalGraphConvolution(nn.Module):
    """``H = LayerNorm(ReLU(sum_r Â_r X W_r))``, a weight matrix for each relation and one for the node itself.

    The form of Schlichtkrull et al. (ESWC 2018, equation 2) with the normalisation of Kipf and Welling: the parts
    ``Â_r`` sum to the ``Â`` of ``GraphConvolution``, so that equal matrices give exactly its result.
    """

    def __init__(self, inputs: int, outputs: int, parts: int) -> None:
        super().__init__()
        self.weights = nn.ModuleList(nn.Linear(inputs, outputs, bias=False) for _ in range(parts))
        self.norm = nn.LayerNorm(outputs)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Nodes ``[N, inputs]`` and the parts of the adjacency ``[parts, N, N]`` to embeddings ``[N, outputs]``."""
        summed = sum(part @ weight(nodes) for part, weight in zip(adjacency, self.weights, strict=True))
        return cast(Tensor, self.norm(cast(Tensor, summed).relu()))


def graph_convolution(inputs: int, outputs: int, adjacency: Tensor) -> nn.Module:
    """The convolution for an adjacency ``[N, N]``, or ``[parts, N, N]`` in parts by relation."""
    if adjacency.dim() == 2:
        return GraphConvolution(inputs, outputs)
    return RelationalGraphConvolution(inputs, outputs, len(adjacency))
