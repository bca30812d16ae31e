"""KnowMVG's figure 2 as one module: it only joins the parts."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from knowmvg.nn.feed_forward import MLP
from knowmvg.nn.global_local_attention import Decoded, Segmenter
from knowmvg.nn.knowledge_prompts import KnowledgeChoice
from knowmvg.nn.prompt_encoder import image_positions


class PromptSource(Protocol):
    """Gives each ``<BOX>`` embedding ``[P, d]`` its extra prompt tokens."""

    def __call__(self, box_embedding: Tensor) -> KnowledgeChoice:
        """Tokens ``[P, k, d]`` and where they come from."""
        ...


class NoKnowledge(nn.Module):
    """The prompt source of the rows without knowledge: no token."""

    def forward(self, box_embedding: Tensor) -> KnowledgeChoice:
        """``k = 0`` tokens for embeddings ``[P, d]``."""
        rows, channels = box_embedding.shape
        none = box_embedding.new_zeros(rows, 0)
        return KnowledgeChoice(none.new_zeros(rows, 0, channels), none.long(), none)


@dataclass(frozen=True, slots=True)
class Placed:
    """Everything the model computed for ``P`` ``<BOX>`` tokens."""

    decoded: Decoded
    knowledge: KnowledgeChoice
    box_embedding: Tensor


class PromptedModel(nn.Module):
    """Image encoder, language model, knowledge prompts, attention and decoder, joined.

    Frozen: image encoder, prompt encoder, mask decoder (``segmenter``). They stay in evaluation mode whatever mode
    the model is in. Trained: the rest.

    Args:
        image_encoder: canvas ``[B, 1, S, S]`` to features ``[B, d, g, g]``.
        vlm: see ``nn.vlm.VisionLanguageModel``.
        segmenter: SAM's prompt encoder and mask decoder.
        knowledge: the prompt source.
        attention: ``PlainAttention`` or ``GlobalLocalAttention``, holding the decoder.
        channels: ``d``.
    """

    frozen = ("image_encoder", "segmenter")

    def __init__(
        self,
        image_encoder: nn.Module,
        vlm: Any,
        segmenter: Segmenter,
        knowledge: nn.Module,
        attention: nn.Module,
        channels: int,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.vlm = vlm
        self.segmenter = segmenter
        self.projection = MLP(vlm.hidden_size, vlm.hidden_size, channels, layers=2)
        self.knowledge = knowledge
        self.attention = attention
        for name in self.frozen:
            getattr(self, name).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> PromptedModel:
        """Switch the trained parts; the frozen parts stay in evaluation mode."""
        super().train(mode)
        for name in self.frozen:
            getattr(self, name).eval()
        return self

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def with_knowledge(self, knowledge: nn.Module) -> PromptedModel:
        """The same parts, shared, with another prompt source."""
        other = copy(self)
        other._modules = {**self._modules, "knowledge": knowledge}
        return other

    @torch.no_grad()
    def encode(self, canvas: Tensor) -> Tensor:
        """Features ``[B, d, g, g]`` of canvases ``[B, 1, S, S]``."""
        features: Tensor = self.image_encoder(canvas)
        return features

    def place(self, states: Tensor, features: Tensor, rows: Tensor) -> Placed:
        """Boxes for the hidden states ``[P, D]`` that emit ``<BOX>``; ``rows`` ``[P]`` says whose image each reads."""
        box_embedding = self.projection(states)
        knowledge = self.knowledge(box_embedding)
        decoded = self.attention(
            box_embedding,
            knowledge.tokens,
            features[rows],
            image_positions(self.segmenter.prompt_encoder),
            self.segmenter,
        )
        return Placed(decoded, knowledge, box_embedding)
