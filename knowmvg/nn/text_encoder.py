"""Equation 6: texts of knowledge nodes to vectors, once, by a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Encode = Callable[[Sequence[str]], tuple[Tensor, Tensor]]


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each text: states ``[B, T, D]``, mask ``[B, T]``, result ``[B, D]``.

    The paper leaves the pooling open; the masked mean is ours (docs/deviations.md).
    """
    weight = mask.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def first_token(states: Tensor, mask: Tensor) -> Tensor:
    """The state of each text's first token (``<s>`` or ``[CLS]``): states ``[B, T, D]``, result ``[B, D]``."""
    return states[:, 0]


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mean": masked_mean, "cls": first_token}


@torch.no_grad()
def encode_nodes(texts: Sequence[str], encode: Encode, batch: int = 64, pooling: str = "mean") -> Tensor:
    """``x_i`` of equation 6 for every node text, ``[N, D]``, standardised over the nodes.

    ``encode`` gives token states ``[B, T, D]`` and their mask ``[B, T]`` (padding on the right) for a list of texts,
    ``pooling`` (``mean`` or ``cls``) makes one vector of them. A small causal encoder gives all texts a large common
    component; without standardising, every cosine of equation 8 would be close to 1.
    """
    pool = POOLINGS[pooling]
    parts = [pool(*encode(texts[i : i + batch])) for i in range(0, len(texts), batch)]
    nodes = torch.cat(parts)
    return (nodes - nodes.mean(dim=0)) / nodes.std(dim=0, correction=0).clamp(min=1e-6)
