"""The decoder language model of laptop size: reads image tokens and the report, writes phrases with ``<BOX>`` tokens.

It stands where LLaVA stands in the paper, behind the same interface (nn/vlm.py). Beside the usual parts (RMSNorm,
rotary positions, SwiGLU, tied embeddings) every block mixes each token with the two before it: this short causal
convolution is what lets so small a model copy phrases out of a report (docs/deviations.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from knowmvg.nn.vlm import Generation


@dataclass(frozen=True, slots=True)
class LanguageModelConfig:
    """Sizes of the model.

    Args:
        vocabulary: number of tokens.
        width: hidden size.
        layers: decoder blocks.
        heads: attention heads.
        image_channels: channels of the image features.
        image_grid: cells a side of the image features.
        image_tokens: tokens a side that the image becomes; the image is ``image_tokens ** 2`` tokens.
        image_token_id: id of the placeholder that image tokens replace.
    """

    vocabulary: int
    width: int = 192
    layers: int = 4
    heads: int = 6
    image_channels: int = 64
    image_grid: int = 32
    image_tokens: int = 8
    image_token_id: int = 0


class _ShortConvolution(nn.Module):
    """``y_t = x_t + w_1 * x_(t-1) + w_2 * x_(t-2)``, a channel at a time; outside the sequence is zero."""

    reach = 2

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(self.reach, width))

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """``x`` ``[B, T, D]`` with the ``reach`` inputs before it ``[B, 2, D]``."""
        whole = torch.cat([before, x], dim=1)
        length = x.shape[1]
        return x + self.weight[0] * whole[:, 1 : 1 + length] + self.weight[1] * whole[:, :length]


def _rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary position embedding of ``x`` ``[B, H, T, C]`` at ``positions`` ``[B, T]`` (Su et al., 2021)."""
    half = x.shape[-1] // 2
    frequency = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = (positions[:, None, :, None].float() * frequency).to(x.dtype)
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


@dataclass(slots=True)
class _Memory:
    """What a block keeps between steps of generation: keys, values and the last inputs of its convolution."""

    keys: Tensor
    values: Tensor
    inputs: Tensor


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.RMSNorm(width)
        self.shift = _ShortConvolution(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width)
        hidden = -(-width * 8 // 3 // 32) * 32
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(
        self, x: Tensor, positions: Tensor, keep: Tensor, mask: Tensor | None, memory: _Memory | None
    ) -> tuple[Tensor, _Memory]:
        normed = self.attention_norm(x) * keep  # padding must not leak into the convolution
        before = normed.new_zeros(x.shape[0], self.shift.reach, x.shape[2]) if memory is None else memory.inputs
        shifted = self.shift(normed, before)
        q, k, v = self.qkv(shifted).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = _rotate(q, positions), _rotate(k, positions)
        if memory is not None:
            k, v = torch.cat([memory.keys, k], dim=2), torch.cat([memory.values, v], dim=2)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None and q.shape[2] > 1)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        x = x + self.down(F.silu(gate) * up)
        return x, _Memory(k, v, torch.cat([before, normed], dim=1)[:, -self.shift.reach :])


class LanguageModel(nn.Module):
    """A vision-language model in one file; see ``nn.vlm.VisionLanguageModel`` for the interface it keeps."""

    def __init__(self, config: LanguageModelConfig) -> None:
        super().__init__()
        self.config = config
        self.hidden_size = config.width
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        patch = config.image_grid // config.image_tokens
        self.projector = nn.Conv2d(config.image_channels, config.width, patch, stride=patch)
        self.image_positions = nn.Parameter(torch.randn(config.image_tokens**2, config.width) * 0.02)
        self.blocks = nn.ModuleList(_Block(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width)
        for name, parameter in self.named_parameters():
            if name.endswith(("qkv.weight", "gate_up.weight")):
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith(("out.weight", "down.weight")):
                nn.init.normal_(parameter, std=0.02 / (2 * config.layers) ** 0.5)

    @property
    def image_length(self) -> int:
        """Placeholders that an image takes in a prompt."""
        return self.config.image_tokens**2

    def embed(self, input_ids: Tensor, features: Tensor | None) -> Tensor:
        """Token embeddings ``[B, T, D]``, with the image's tokens where ``input_ids`` holds the placeholder.

        Raises ``ValueError`` if the number of placeholders is not ``image_length`` a row.
        """
        embedded: Tensor = self.embedding(input_ids) * self.config.width**0.5
        if features is None:
            return embedded
        image = self.projector(features).flatten(2).transpose(1, 2) + self.image_positions
        where = input_ids == self.config.image_token_id
        if not bool((where.sum(dim=1) == self.image_length).all()):
            raise ValueError(f"expected {self.image_length} image placeholders a row, got {where.sum(dim=1).tolist()}")
        return embedded.masked_scatter(where.unsqueeze(-1), image.to(embedded.dtype))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None, features: Tensor | None) -> Tensor:
        """Last hidden states ``[B, T, D]`` (after the final norm).

        Args:
            input_ids: ``[B, T]``.
            attention_mask: ``[B, T]``, 1 for tokens and 0 for padding on either side, or ``None`` for right padding
                only, which causal attention needs no mask for.
            features: image features ``[B, C, grid, grid]``, or ``None`` for text alone.
        """
        return self.read(self.embed(input_ids, features), attention_mask)

    def read(self, embedded: Tensor, attention_mask: Tensor | None) -> Tensor:
        """``forward`` from what ``embed`` gave, ``[B, T, D]``."""
        states, _ = self._run(embedded, attention_mask, None)
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Next-token logits ``[..., V]`` of hidden states ``[..., D]``, through the tied embedding."""
        return states @ self.embedding.weight.T

    def _run(self, x: Tensor, mask: Tensor | None, memory: list[_Memory] | None) -> tuple[Tensor, list[_Memory]]:
        """Run the blocks on new positions ``x`` ``[B, T, D]``; ``mask`` ``[B, past + T]`` covers old and new ones."""
        batch, length, _ = x.shape
        if mask is None:
            positions = torch.arange(length, device=x.device).expand(batch, -1)
            keep, allowed = x.new_ones(1, 1, 1), None
        else:
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -length:]
            keep = mask[:, -length:].unsqueeze(-1).to(x.dtype)
            total = mask.shape[1]
            causal = torch.ones(length, total, dtype=torch.bool, device=x.device).tril(total - length)
            allowed = (causal & mask.bool()[:, None, :]).unsqueeze(1)
            own = torch.eye(length, total, dtype=torch.bool, device=x.device).roll(total - length, dims=1)
            allowed = allowed | own  # a padded query attends to itself, so that its softmax is defined
        memories = []
        for index, block in enumerate(self.blocks):
            x, kept = block(x, positions, keep, allowed, None if memory is None else memory[index])
            memories.append(kept)
        return self.norm(x), memories

    @torch.no_grad()
    def generate(
        self, input_ids: Tensor, attention_mask: Tensor, features: Tensor, *, stop_id: int, max_new_tokens: int
    ) -> Generation:
        """Greedy continuation with cached keys and values; stops when every row has written ``stop_id``.

        Args:
            input_ids: left-padded prompts ``[B, T]``.
            attention_mask: ``[B, T]``.
            features: ``[B, C, grid, grid]``.
            stop_id: the end token; it is part of the answer and repeated to fill shorter rows.
            max_new_tokens: an upper bound on the answer's length.
        """
        x, mask, memory = self.embed(input_ids, features), attention_mask, None
        done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        ids, states = [], []
        for _ in range(max_new_tokens):
            hidden, memory = self._run(x, mask, memory)
            state = hidden[:, -1]
            token = self.logits(state).argmax(dim=-1).masked_fill(done, stop_id)
            ids.append(token)
            states.append(state)
            done |= token == stop_id
            if bool(done.all()):
                break
            x = self.embedding(token).unsqueeze(1) * self.config.width**0.5
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        return Generation(torch.stack(ids, dim=1), torch.stack(states, dim=1))
