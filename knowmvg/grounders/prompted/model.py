"""KnowMVG's figure 2 as one module: it only joins the parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from knowmvg.nn.attention_weights import AttentiveBoxDecoder, with_parts
from knowmvg.nn.box_decoder import BoxDecoder
from knowmvg.nn.feed_forward import MLP
from knowmvg.nn.global_local_attention import Decoded, Segmenter
from knowmvg.nn.knowledge_prompts import KnowledgeChoice
from knowmvg.nn.prompt_encoder import image_positions


class PromptSource(Protocol):
    """Gives each ``<BOX>`` its extra prompt tokens, chosen by the ``H_out`` that ``query`` names (equation 8)."""

    @property
    def query(self) -> str:
        """``box``, ``state`` or ``answer`` (nn/knowledge_prompts.py)."""
        ...

    def __call__(self, output: Tensor) -> KnowledgeChoice:
        """Tokens ``[P, k, d]`` and where they come from."""
        ...


class NoKnowledge(nn.Module):
    """The prompt source of the rows without knowledge: no token."""

    query = "box"

    def forward(self, output: Tensor) -> KnowledgeChoice:
        """``k = 0`` tokens for embeddings ``[P, d]``."""
        rows, channels = output.shape
        none = output.new_zeros(rows, 0)
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
        return with_parts(self, knowledge=knowledge)

    def with_attention(self) -> PromptedModel:
        """The same parts, shared, with a decoder that tells its attention weights where it has a box token."""
        decoder = self.attention.decoder
        if not isinstance(decoder, BoxDecoder):
            return self
        return with_parts(self, attention=with_parts(self.attention, decoder=AttentiveBoxDecoder(decoder)))

    @torch.no_grad()
    def encode(self, canvas: Tensor) -> Tensor:
        """Features ``[B, d, g, g]`` of canvases ``[B, 1, S, S]``."""
        features: Tensor = self.image_encoder(canvas)
        return features

    def place(self, states: Tensor, answers: Tensor, features: Tensor, rows: Tensor) -> Placed:
        """Boxes for ``P`` ``<BOX>`` tokens.

        Args:
            states: hidden states ``[P, D]`` that emit them.
            answers: ``[P, D]``, for each the mean of the states that emit the answer which it stands in.
            features: ``[B, d, g, g]`` image features.
            rows: ``[P]``, whose image each reads.
        """
        box_embedding = self.projection(states)
        knowledge = self.knowledge(self._output(box_embedding, states, answers))
        decoded = self.attention(
            box_embedding,
            knowledge.tokens,
            features[rows],
            image_positions(self.segmenter.prompt_encoder),
            self.segmenter,
        )
        return Placed(decoded, knowledge, box_embedding)

    def _output(self, box_embedding: Tensor, states: Tensor, answers: Tensor) -> Tensor:
        """``H_out`` of equation 8, in the reading that the prompt source asks for."""
        query = cast(PromptSource, self.knowledge).query
        if query == "box":
            return box_embedding
        projected: Tensor = states if query == "state" else self.projection(answers)
        return projected
