"""A vision-language model of transformers behind the interface of nn/vlm.py, whichever family it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPooling

from knowmvg.nn.backbones.cache import roomy_cache
from knowmvg.nn.backbones.family import FAMILIES, Family
from knowmvg.nn.backbones.generation import Chooser, greedy, greedy_shared
from knowmvg.nn.backbones.rows import TokenRows
from knowmvg.nn.vlm import Generation


class Backbone(nn.Module):
    """Keeps ``nn.vlm.VisionLanguageModel``; its image features are the tokens ``[B, N, C]`` that ``look`` gives.

    The base is frozen as a whole. What is trained is what was added to it: adapters (nn/backbones/lora.py) and the
    rows of new tokens (nn/backbones/rows.py), or with ``rows=None`` whatever the caller unfroze. The vision tower
    stays in evaluation mode. States and logits are single precision whatever the model computes in.

    Args:
        model: a ``...ForConditionalGeneration`` of a family in ``FAMILIES``.
        image_length: image tokens a picture; pictures are square and all of one size.
        prompt_end_id: the token that ends a prompt, where the family reads the prompt both ways.
        image_token_id: the placeholder of an image token, where the model's configuration has none.
    """

    def __init__(
        self, model: Any, image_length: int, prompt_end_id: int | None = None, image_token_id: int | None = None
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.image_length = image_length
        self.prompt_end_id = prompt_end_id
        self.family: Family = FAMILIES[model.config.model_type]
        self.hidden_size: int = model.config.get_text_config().hidden_size
        self.image_token_id: int = _image_token_id(model.config) if image_token_id is None else image_token_id

    @property
    def decoder(self) -> nn.Module:
        """The language decoder."""
        found: nn.Module = getattr(self.model.model, self.family.decoder)
        return found

    @property
    def rows(self) -> TokenRows | None:
        """The rows of new tokens, where there are any."""
        embedding = self.model.get_input_embeddings()
        return embedding if isinstance(embedding, TokenRows) else None

    def own_rows(self, ids: Sequence[int], start: Sequence[int]) -> None:
        """Give tokens trained rows of their own, which start from the mean of the rows of ``start``."""
        frozen = self.model.get_input_embeddings()
        self.model.set_input_embeddings(TokenRows(frozen, self.model.lm_head, ids, start))

    def train_all_rows(self, new: int, start: Sequence[int]) -> None:
        """Train the whole embedding and output layer; a row for token ``new`` is made if they end before it."""
        size = self.model.get_input_embeddings().weight.shape[0]
        if new >= size:
            self.model.resize_token_embeddings(new + 1, mean_resizing=False)
        for matrix in (self.model.get_input_embeddings(), self.model.lm_head):
            with torch.no_grad():
                matrix.weight[new] = matrix.weight[list(start)].float().mean(dim=0)
            matrix.requires_grad_(True)

    # --- what training added -------------------------------------------------------------------------------------

    def saved_rows(self) -> dict[str, Tensor]:
        """The trained rows by name; whole matrices where all are trained."""
        if self.rows is not None:
            return self.rows.rows()
        embedding, head = self.model.get_input_embeddings().weight, self.model.lm_head.weight
        return {"embedded": embedding} if head is embedding else {"embedded": embedding, "written": head}

    @torch.no_grad()
    def load_rows(self, rows: Mapping[str, Tensor]) -> None:
        """Take back what ``saved_rows`` gave. Raises ``ValueError`` for other names or shapes."""
        here = self.saved_rows()
        _match(here, rows, "rows")
        for name, tensor in here.items():
            tensor.copy_(rows[name])

    def adapter(self) -> tuple[Any, dict[str, Tensor]] | None:
        """PEFT's configuration and weights of the adapters, under PEFT's names, or ``None`` without any."""
        if not getattr(self.model, "_hf_peft_config_loaded", False):
            return None
        from peft import get_peft_model_state_dict

        (name,) = self.model.peft_config
        tensors = get_peft_model_state_dict(self.model, adapter_name=name, save_embedding_layers=False)
        return self.model.peft_config[name], {f"base_model.model.{key}": value for key, value in tensors.items()}

    @torch.no_grad()
    def load_adapter(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back the weights that ``adapter`` gave. Raises ``ValueError`` for other names or shapes."""
        here = self.adapter()
        _match({} if here is None else here[1], tensors, "adapter weights")
        for name, tensor in ({} if here is None else here[1]).items():
            tensor.copy_(tensors[name])

    def train(self, mode: bool = True) -> Backbone:
        """Switch the decoder; the vision tower and its projector stay in evaluation mode."""
        super().train(False)
        self.decoder.train(mode)
        return self

    # --- reading -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def look(self, pictures: Mapping[str, Tensor]) -> Tensor:
        """Image tokens ``[B, N, C]`` of what the family's image processor made of ``B`` pictures.

        ``C`` is the width of the decoder, times one more for every layer that a deepstack family feeds. The frozen
        tower is run here and nowhere else, so that its output can be kept and shared.
        """
        seen = self.model.model.get_image_features(**pictures, return_dict=True)
        tokens = _stacked(seen.pooler_output)
        if self.family.deepstack:
            tokens = torch.cat([tokens, *map(_stacked, seen.deepstack_features)], dim=-1)
        if tokens.shape[1] * len(tokens) % self.image_length:
            raise ValueError(f"expected {self.image_length} image tokens a picture, got {tokens.shape[1]}")
        return tokens.reshape(-1, self.image_length, tokens.shape[-1])

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None, features: Tensor | None) -> Tensor:
        """Last hidden states ``[B, T, D]``, after the final norm.

        Args:
            input_ids: ``[B, T]``; every row with an image holds ``image_length`` placeholders.
            attention_mask: ``[B, T]``, 1 for tokens and 0 for padding on either side, or ``None`` for right padding.
            features: what ``look`` gave for the rows, or ``None`` for text alone.

        Raises ``ValueError`` if the number of placeholders is not ``image_length`` a row.
        """
        return self.read(input_ids, attention_mask, features)

    def read(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        features: Tensor | None,
        *,
        positions: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """``forward`` with a cache of keys and values that the new tokens ``[B, T]`` are added to.

        Args:
            input_ids: new tokens.
            attention_mask: ``[B, past + T]``.
            features: image tokens, where the placeholders are among the new tokens.
            positions: of the new tokens, as ``positions`` gives them; needed with a filled cache.
            cache: a ``DynamicCache``.
        """
        where = self._placeholders(input_ids, features)
        given: dict[str, Any] = {"use_cache": cache is not None, "past_key_values": cache}
        if features is not None:
            given["mm_encoder_outputs"] = {"image": self._seen(features)}
            if self.family.image_block:
                given["token_type_ids"] = where.long()
            if self.family.prefix_block:
                ends = input_ids.eq(self.prompt_end_id or 0).long()
                given["token_type_ids"] = (ends.cumsum(dim=1) - ends).clamp(max=1)  # 1 behind the first end
        if positions is None and not (self.family.positions == "line" and attention_mask is None):
            positions, _ = self.positions(input_ids, attention_mask)
        out = self.model.model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=positions, return_dict=True, **given
        )
        states: Tensor = out.last_hidden_state
        return states.float()

    def logits(self, states: Tensor) -> Tensor:
        """Next-token logits ``[..., V]`` of states ``[..., D]``."""
        head = self.model.lm_head
        written: Tensor = head(states.to(head.weight.dtype)).float()
        cap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        if self.rows is not None:
            written = self.rows.logits(states, written)
        return written if cap is None else torch.tanh(written / cap) * cap

    def positions(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Positions of tokens, and ``[B]`` by how much those that follow exceed the number of tokens before them.

        Positions are ``[B, T]``, or ``[3, B, T]`` (time, row, column) where image tokens lie on a grid.
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if self.family.positions == "grid":
            where = input_ids == self.image_token_id
            side = isqrt(self.image_length) * self.model.config.vision_config.spatial_merge_size
            grids = torch.tensor([[1, side, side]], device=input_ids.device).expand(int(where.any(dim=1).sum()), 3)
            on_grid, beyond = self.model.model.get_rope_index(
                input_ids, mm_token_type_ids=where.int(), image_grid_thw=grids, attention_mask=mask
            )
            return on_grid, beyond[:, 0]
        first = 1 if self.family.positions == "line-from-1" else 0
        on_line = (mask.cumsum(dim=1) - 1).clamp(min=0) + first
        return on_line, torch.full((len(input_ids),), first, device=input_ids.device)

    def _placeholders(self, input_ids: Tensor, features: Tensor | None) -> Tensor:
        """Where image tokens stand ``[B, T]``; with features, as many as they have."""
        where = input_ids == self.image_token_id
        if features is not None and not bool((where.sum(dim=1) == self.image_length).all()):
            raise ValueError(f"expected {self.image_length} image placeholders a row, got {where.sum(dim=1).tolist()}")
        return where

    def _seen(self, features: Tensor) -> BaseModelOutputWithPooling:
        """Image tokens in the form in which the family's vision tower gives them."""
        parts = features.to(self.model.dtype).split(self.hidden_size, dim=-1)
        listed = [list(part) if self.family.listed else part for part in parts]
        seen = BaseModelOutputWithPooling(pooler_output=listed[0])
        seen.deepstack_features = listed[1:]
        return seen

    # --- writing -------------------------------------------------------------------------------------------------

    def empty_cache(self) -> DynamicCache:
        """Keys and values of nothing yet."""
        return roomy_cache(self.model.config.get_text_config())

    @property
    def slides(self) -> bool:
        """Whether some layers see a window of columns only, so that padding between tokens would push them out."""
        return "sliding_attention" in (getattr(self.model.config.get_text_config(), "layer_types", None) or ())

    def generate(
        self, input_ids: Tensor, attention_mask: Tensor, features: Tensor, *, stop_id: int, max_new_tokens: int
    ) -> Generation:
        """Greedy continuation of left-padded prompts (nn/backbones/generation.py)."""
        return greedy(self, input_ids, attention_mask, features, stop_id, max_new_tokens)

    def generate_shared(
        self,
        prompts: Sequence[Sequence[int]],
        features: Tensor,
        *,
        stop_id: int,
        max_new_tokens: int,
        owners: Sequence[int] | None = None,
        choose: Chooser | None = None,
    ) -> Generation:
        """Greedy continuation of prompts about the images ``[I, N, C]`` of ``owners``, whose common start is read once.

        Without ``owners`` there is one image.
        """
        return greedy_shared(self, prompts, features, stop_id, max_new_tokens, owners, choose)


def _image_token_id(config: Any) -> int:
    found: int = next(getattr(config, key) for key in ("image_token_id", "image_token_index") if hasattr(config, key))
    return found


def _stacked(parts: Tensor | Sequence[Tensor]) -> Tensor:
    return parts if isinstance(parts, Tensor) else torch.stack(list(parts))


def _match(here: Mapping[str, Tensor], given: Mapping[str, Tensor], what: str) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in here.items()}
    got = {name: tuple(tensor.shape) for name, tensor in given.items()}
    if shapes != got:
        differ = sorted(name for name in {*shapes, *got} if shapes.get(name) != got.get(name))
        raise ValueError(f"expected the {what} of this model, got others: {differ[0]}")
