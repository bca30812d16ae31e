"""A language model that has read text alone, shown a radiograph by a trained projector (LLaVA, Liu et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from knowmvg.nn.backbones.backbone import Backbone


@dataclass(frozen=True, slots=True)
class ImageMap:
    """The shape of what an image encoder gives: ``channels`` over ``grid * grid`` cells."""

    channels: int
    grid: int


class MapProjector(nn.Module):
    """Features ``[B, d, g, g]`` as image tokens ``[B, side * side, D]``, row by row.

    LLaVA-1.5's two layers with a GELU between, on squares of cells, with a learned vector a place. Tokens begin as
    large as the words of the language model are, so that they do not drown its prompt.

    Args:
        seen: the shape of the features; ``side`` divides its grid.
        side: tokens a side.
        width: ``D``, hidden size of the language model.
        scale: root mean square of its word embeddings.
    """

    def __init__(self, seen: ImageMap, side: int, width: int, scale: float) -> None:
        super().__init__()
        cells = seen.grid // side
        self.length = side * side
        self.cut = nn.Conv2d(seen.channels, width, cells, stride=cells)
        self.positions = nn.Parameter(torch.randn(self.length, width) * 0.5)
        self.out = nn.Linear(width, width)
        nn.init.normal_(self.out.weight, std=scale * width**-0.5)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Image tokens of features."""
        cut = self.cut(features.to(self.cut.weight.dtype)).flatten(2).transpose(1, 2)
        tokens: Tensor = self.out(nn.functional.gelu(cut + self.positions))
        return tokens


class TextBackbone(Backbone):
    """A ``...ForCausalLM`` behind the interface of nn/vlm.py; its features are the maps ``[B, d, g, g]`` themselves.

    The base is frozen; projector, adapters and rows are trained.

    Args:
        model: the language model, of a family that is ``text_only``.
        image_token_id: the placeholder of an image token, a token of the tokenizer that the model need not know.
        seen: the shape of the features.
        side: image tokens a side.
    """

    def __init__(self, model: Any, image_token_id: int, seen: ImageMap, side: int) -> None:
        super().__init__(model, side * side, image_token_id=image_token_id)
        scale = float(model.get_input_embeddings().weight.detach().float().square().mean().sqrt())
        self.projector = MapProjector(seen, side, self.hidden_size, scale)

    @property
    def decoder(self) -> nn.Module:
        """The language decoder."""
        found: nn.Module = self.model.model
        return found

    def look(self, pictures: Mapping[str, Tensor]) -> Tensor:
        """There is no tower to look with. Raises ``TypeError``."""
        raise TypeError("expected the image encoder's maps in place of pictures: this model has no vision tower")

    def read(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        features: Tensor | None,
        *,
        positions: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Last hidden states ``[B, T, D]``, as ``Backbone.read``."""
        where = self._placeholders(input_ids, features)
        embedded: Tensor = self.model.get_input_embeddings()(input_ids.masked_fill(where, 0))
        if features is not None:
            tokens = self.projector(features).to(embedded.dtype)
            embedded = embedded.masked_scatter(where.unsqueeze(-1), tokens)
        if positions is None and attention_mask is not None:
            positions, _ = self.positions(input_ids, attention_mask)
        out = self.model.model(
            inputs_embeds=embedded,
            attention_mask=attention_mask,
            position_ids=positions,
            use_cache=cache is not None,
            past_key_values=cache,
            return_dict=True,
        )
        states: Tensor = out.last_hidden_state
        return states.float()
