"""Reading the cross-attention of a UNet while it computes, without keeping it.

The processors of the ``attn2`` layers are exchanged for the length of a block and put back after it, whatever happens;
self-attention stays as it is, and no class of diffusers is changed. What a layer's softmax gives is reduced at once,
over its heads and over groups of tokens, and handed on; nothing of it is kept here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import isqrt
from typing import Any, Protocol

import torch
from torch import Tensor

_ORDER = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
AT_ONCE = 2**24  # softmax weights held at once, 64 MiB in single precision


class AttentionSink(Protocol):
    """Takes the reduced attention of a layer and says by which groups of tokens it wants the next ones."""

    groups: Tensor
    """``[B, T, G]``: for each row of the batch the weight of each token in each group."""

    def add(self, layer: int, maps: Tensor) -> None:
        """``[B, G, h, w]``: mean over heads, weighted over tokens, of the softmax of one layer; not the sink's own."""
        ...


def cross_attentions(unet: Any) -> list[str]:
    """Names of the processors of the cross-attentions, in the order of the computation: down, middle, up."""
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    return sorted(names, key=lambda name: _ORDER[name.split(".")[0]])  # stable: diffusers lists each part in order


@contextmanager
def reading_attention(unet: Any, sink: AttentionSink, layers: Collection[int] | None = None) -> Iterator[None]:
    """Hand what the cross-attentions ``layers`` (all by default) compute inside this block to ``sink``.

    One block at a time on one UNet: processors are a part of it.

    Raises:
        IndexError: a layer that the UNet does not have.
    """
    before = dict(unet.attn_processors)
    names = cross_attentions(unet)
    chosen = range(len(names)) if layers is None else sorted(layers)
    readers = {names[layer]: _Reader(layer, sink) for layer in chosen}
    unet.set_attn_processor(before | readers)
    try:
        yield
    finally:
        unet.set_attn_processor(dict(before))


class _Reader:
    """The computation of diffusers' eager ``AttnProcessor`` for a cross-attention between tokens, read on its way."""

    def __init__(self, layer: int, sink: AttentionSink) -> None:
        self.layer, self.sink = layer, sink

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        batch, places, _ = hidden_states.shape
        tokens = encoder_hidden_states.shape[1]
        context = attn.norm_encoder_hidden_states(encoder_hidden_states) if attn.norm_cross else encoder_hidden_states
        mask = attn.prepare_attention_mask(attention_mask, tokens, batch)
        query, key, value = attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)
        side, step = isqrt(places), max(1, AT_ONCE // (attn.heads * places * tokens))
        outputs, read = [], []
        for start in range(0, batch, step):
            rows = slice(start, min(start + step, batch))
            inside = slice(rows.start * attn.heads, rows.stop * attn.heads)
            q, k, v = (attn.head_to_batch_dim(one[rows]) for one in (query, key, value))
            weights = attn.get_attention_scores(q, k, None if mask is None else mask[inside])
            outputs.append(attn.batch_to_head_dim(torch.bmm(weights, v)))
            by_token = weights.view(-1, attn.heads, places, tokens).float().mean(dim=1)
            read.append((by_token @ self.sink.groups[rows]).transpose(1, 2))
        self.sink.add(self.layer, torch.cat(read).unflatten(2, (side, places // side)))
        out: Tensor = attn.to_out[1](attn.to_out[0](torch.cat(outputs)))
        if attn.residual_connection:
            out = out + hidden_states
        return out / float(attn.rescale_output_factor)
