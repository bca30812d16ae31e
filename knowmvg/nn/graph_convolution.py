"""Equation 7: one step of graph convolution over the knowledge graph (Kipf and Welling, ICLR 2017)."""

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
