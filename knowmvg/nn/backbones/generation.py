"""Greedy writing with cached keys and values: every token with the state that emitted it, nothing computed twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from knowmvg.nn.backbones.family import Family
from knowmvg.nn.vlm import Generation


class Reader(Protocol):
    """What writing asks of a model (nn/backbones/backbone.py)."""

    family: Family
    image_token_id: int

    @property
    def slides(self) -> bool:
        """Whether some layers see a window of columns only."""
        ...

    def empty_cache(self) -> Any:
        """Keys and values of nothing yet."""
        ...

    def positions(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Positions of tokens, and by how much those of further tokens exceed the number of tokens before them."""
        ...

    def read(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        features: Tensor | None,
        *,
        positions: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Last hidden states ``[B, T, D]`` of new tokens."""
        ...

    def logits(self, states: Tensor) -> Tensor:
        """Next-token logits."""
        ...


@torch.no_grad()
def greedy(
    model: Reader, input_ids: Tensor, attention_mask: Tensor, features: Tensor, stop_id: int, max_new_tokens: int
) -> Generation:
    """Greedy continuation; ends when every row has written ``stop_id``.

    Args:
        model: the reader.
        input_ids: left-padded prompts ``[B, T]``.
        attention_mask: ``[B, T]``.
        features: image tokens ``[B, N, C]``.
        stop_id: the end token; it is part of the answer and repeated to fill shorter rows.
        max_new_tokens: an upper bound on the answer's length.
    """
    cache = model.empty_cache()
    positions, beyond = model.positions(input_ids, attention_mask)
    states = model.read(input_ids, attention_mask, features, positions=positions, cache=cache)
    return _go_on(model, states[:, -1], attention_mask, beyond, cache, stop_id, max_new_tokens)


@torch.no_grad()
def greedy_shared(
    model: Reader, prompts: Sequence[Sequence[int]], features: Tensor, stop_id: int, max_new_tokens: int
) -> Generation:
    """Greedy continuation of ``Q`` prompts about one image, their longest common start read once.

    A family that reads the whole prompt both ways has no start that is independent of the question; there the image
    alone is encoded once.

    Args:
        model: the reader.
        prompts: token ids, all with the image's placeholders at the same place.
        features: image tokens ``[1, N, C]``.
        stop_id: the end token.
        max_new_tokens: an upper bound on an answer's length.

    Raises ``ValueError`` if the prompts part before or among the image's placeholders.
    """
    device = features.device
    shared = _common_start(prompts)
    if model.image_token_id in {token for prompt in prompts for token in prompt[shared:]}:
        raise ValueError(f"expected prompts that share the image's placeholders, got ones that part at {shared}")
    lengths = {len(prompt) for prompt in prompts}
    if model.family.prefix_block:
        ids, mask = _left_padded(prompts, device)
        return greedy(model, ids, mask, features.expand(len(prompts), -1, -1), stop_id, max_new_tokens)
    if model.slides and len(lengths) > 1:  # padding behind the shared start would fill the window: a length at a time
        groups = [[row for row, prompt in enumerate(prompts) if len(prompt) == length] for length in sorted(lengths)]
        parts = [
            greedy_shared(model, [prompts[row] for row in rows], features, stop_id, max_new_tokens) for rows in groups
        ]
        return _in_order(parts, [row for rows in groups for row in rows], stop_id)
    cache = model.empty_cache()
    start = torch.tensor([list(prompts[0][:shared])], device=device)
    positions, beyond = model.positions(start, None)
    model.read(start, torch.ones_like(start), features, positions=positions, cache=cache)
    cache.batch_repeat_interleave(len(prompts))
    ids, mask = _left_padded([prompt[shared:] for prompt in prompts], device)
    beyond = beyond.expand(len(prompts))
    line = shared + (mask.cumsum(dim=1) - 1).clamp(min=0) + beyond[:, None]
    mask = pad(mask, (shared, 0), value=1)
    states = model.read(ids, mask, None, positions=_placed(model, line), cache=cache)
    return _go_on(model, states[:, -1], mask, beyond, cache, stop_id, max_new_tokens)


def _go_on(
    model: Reader, state: Tensor, mask: Tensor, beyond: Tensor, cache: Any, stop_id: int, max_new_tokens: int
) -> Generation:
    """Write from the state ``[B, D]`` of the last prompt token on."""
    done = torch.zeros(len(state), dtype=torch.bool, device=state.device)
    ids, states = [], []
    for step in range(max_new_tokens):
        token = model.logits(state).argmax(dim=-1).masked_fill(done, stop_id)
        ids.append(token)
        states.append(state)
        done |= token == stop_id
        if step + 1 == max_new_tokens or bool(done.all()):
            break
        line = (mask.sum(dim=1) + beyond).unsqueeze(1)
        mask = pad(mask, (0, 1), value=1)
        state = model.read(token.unsqueeze(1), mask, None, positions=_placed(model, line), cache=cache)[:, -1]
    return Generation(torch.stack(ids, dim=1), torch.stack(states, dim=1))


def _placed(model: Reader, line: Tensor) -> Tensor:
    """Positions of text tokens from their numbers ``[B, T]``: on a grid they have the same row, column and time."""
    return line.expand(3, -1, -1) if model.family.positions == "grid" else line


def _common_start(prompts: Sequence[Sequence[int]]) -> int:
    """Tokens that all prompts begin with, leaving at least one of each."""
    longest = min(len(prompt) for prompt in prompts) - 1
    for index in range(longest):
        if len({prompt[index] for prompt in prompts}) > 1:
            return index
    return longest


def _left_padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids (0 where there is none) and attention mask ``[B, T]``."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*[0] * (width - len(row)), *row] for row in rows], device=device)
    mask = torch.tensor([[*[0] * (width - len(row)), *[1] * len(row)] for row in rows], device=device)
    return ids, mask


def _in_order(parts: Sequence[Generation], rows: Sequence[int], stop_id: int) -> Generation:
    """Generations of groups as one, its rows in the order that they were asked in."""
    width = max(part.ids.shape[1] for part in parts)
    ids = torch.cat([pad(part.ids, (0, width - part.ids.shape[1]), value=stop_id) for part in parts])
    states = torch.cat([pad(part.states, (0, 0, 0, width - part.states.shape[1])) for part in parts])
    order = torch.tensor(rows, device=ids.device).argsort()
    return Generation(ids[order], states[order])
