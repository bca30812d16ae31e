"""Trained rows over frozen matrices: a new token's embedding and output, without a gradient for any other row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class TokenRows(nn.Module):
    """An embedding layer in which some tokens have rows of their own, over a frozen matrix that is never written to.

    The matrix holds no gradient, so that neither weight decay nor an optimizer's momentum can move another token. It
    need not even have a row for the tokens: the logits get columns up to them, which nothing else can be written by.
    A tied model has one row a token for embedding and output. Rows are single precision whatever the matrix is.

    Args:
        frozen: the input embedding ``[V, D]``.
        head: the output layer ``[V, D]``.
        ids: the tokens with rows of their own, within the matrix or beyond it.
        start: tokens whose mean the rows start from: words that come near.
    """

    def __init__(self, frozen: nn.Embedding, head: nn.Linear, ids: Sequence[int], start: Sequence[int]) -> None:
        super().__init__()
        self.frozen, self.tied = frozen, head.weight is frozen.weight
        self.beyond = max(0, max(ids) + 1 - head.weight.shape[0])
        self.register_buffer("ids", torch.tensor(sorted(ids), device=frozen.weight.device), persistent=False)
        self.ids: Tensor
        self.embedded = nn.Parameter(_mean(frozen.weight, start).repeat(len(ids), 1))
        self.written = None if self.tied else nn.Parameter(_mean(head.weight, start).repeat(len(ids), 1))

    @property
    def weight(self) -> Tensor:
        """The frozen matrix, for those who ask an embedding for its device or precision."""
        return self.frozen.weight

    def forward(self, input_ids: Tensor) -> Tensor:
        """Embeddings ``[..., D]`` of ids ``[...]``."""
        ours = input_ids.unsqueeze(-1) == self.ids
        embedded: Tensor = self.frozen(input_ids.masked_fill(ours.any(dim=-1), 0))
        scale = getattr(self.frozen, "embed_scale", 1.0)  # Gemma scales what it looks up, but not what it writes
        rows = (self.embedded * scale).to(embedded.dtype)
        for index in range(len(rows)):
            embedded = torch.where(ours[..., index, None], rows[index], embedded)
        return embedded

    def logits(self, states: Tensor, frozen: Tensor) -> Tensor:
        """Logits ``[..., V']`` of states ``[..., D]``, given those of the frozen output layer ``[..., V]``."""
        rows = self.embedded if self.written is None else self.written
        ours = states.to(rows.dtype) @ rows.T
        whole = torch.cat([frozen, frozen.new_full((*frozen.shape[:-1], self.beyond), float("-inf"))], dim=-1)
        return whole.index_copy(-1, self.ids, ours.to(frozen.dtype))

    def rows(self) -> dict[str, Tensor]:
        """What is to be saved: ``embedded`` ``[R, D]`` and, of an untied model, ``written`` ``[R, D]``."""
        found = {"embedded": self.embedded.detach()}
        return found if self.written is None else found | {"written": self.written.detach()}


def _mean(matrix: Tensor, ids: Sequence[int]) -> Tensor:
    return matrix.detach()[list(ids)].float().mean(dim=0)
