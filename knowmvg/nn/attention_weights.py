"""The softmax weights with which a box decoder's box token reads the image: the real ones, not a stand-in for them.

In the lineage, "attention maps" are channels of an attention *output* folded to a square (docs/deviations.md). Here the
decoder runs as it is, and its last token-to-image attention is asked for its weights on the way.
"""

from __future__ import annotations

from copy import copy
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from knowmvg.nn.box_decoder import BoxDecoder, Boxes

M = TypeVar("M", bound=nn.Module)


def with_parts(module: M, **parts: nn.Module) -> M:
    """The same module, its weights shared, with other ones in place of its parts of these names."""
    other = copy(module)
    other._modules = {**module._modules, **parts}
    return other


class _Asked(nn.Module):
    """A ``SamAttention`` that keeps the softmax weights ``[P, heads, cells]`` of the first token of a call."""

    weights: Tensor

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> Any:
        own = self.attention
        heads = (-1, own.num_attention_heads, own.internal_dim // own.num_attention_heads)
        asked = own.q_proj(query[:, 0, 0]).view(heads)
        keys = own.k_proj(key[:, 0]).unflatten(-1, heads[1:])
        self.weights = (torch.einsum("phc,pnhc->phn", asked, keys) * own.scaling).softmax(dim=-1)
        return own(query=query, key=key, value=value, **settings)


class AttentiveBoxDecoder(nn.Module):
    """A box decoder, its weights shared, whose boxes come with attention weights; the boxes are the same.

    Each call has its own recorder, so that calls may run at once.
    """

    def __init__(self, decoder: BoxDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: Tensor, positions: Tensor, prompts: Tensor) -> Boxes:
        """As ``BoxDecoder.forward``, with ``Boxes.attention`` where there is a row."""
        transformer = cast(nn.Module, self.decoder.transformer)
        asked = _Asked(transformer.final_attn_token_to_image)
        watched = with_parts(self.decoder, transformer=with_parts(transformer, final_attn_token_to_image=asked))
        boxes: Boxes = watched(features, positions, prompts)
        if len(features) == 0:
            return boxes
        return boxes._replace(attention=asked.weights.unflatten(-1, features.shape[-2:]))
