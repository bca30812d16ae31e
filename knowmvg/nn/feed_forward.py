"""The small multi-layer perceptron that several heads share."""

from __future__ import annotations

from torch import Tensor, nn


class MLP(nn.Module):
    """``layers`` linear maps with ReLU between them, ``[..., inputs]`` to ``[..., outputs]``."""

    def __init__(self, inputs: int, hidden: int, outputs: int, layers: int) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (layers - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        out: Tensor = self.layers[-1](x)
        return out
