"""Greedy writing with cached keys and values: every token with the state that emitted it, nothing computed twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from knowmvg.nn.backbones.family import Family
from knowmvg.nn.vlm import Generation


class Chooser(Protocol):
    """Changes the scores of what may be written next: a logits processor that is told nothing of the prompt."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores ``[B, V]`` as the next token is chosen from, after the ids ``[B, m]`` that were written."""
        ...

    def only(self, rows: Sequence[int]) -> Chooser:
        """The chooser of some rows."""
        ...


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
    model: Reader,
    input_ids: Tensor,
    attention_mask: Tensor,
    features: Tensor,
    stop_id: int,
    max_new_tokens: int,
    choose: Chooser | None = None,
) -> Generation:
    """Greedy continuation; ends when every row has written ``stop_id``.

    Args:
        model: the reader.
        input_ids: left-padded prompts ``[B, T]``.
        attention_mask: ``[B, T]``.
        features: image tokens ``[B, N, C]``.
        stop_id: the end token; it is part of the answer and repeated to fill shorter rows.
        max_new_tokens: an upper bound on the answer's length.
        choose: changes the scores before the highest is taken.
    """
    cache = model.empty_cache()
    positions, beyond = model.positions(input_ids, attention_mask)
    states = model.read(input_ids, attention_mask, features, positions=positions, cache=cache)
    return _go_on(model, states[:, -1], attention_mask, beyond, cache, stop_id, max_new_tokens, choose)


@torch.no_grad()
def greedy_shared(
    model: Reader,
    prompts: Sequence[Sequence[int]],
    features: Tensor,
    stop_id: int,
    max_new_tokens: int,
    owners: Sequence[int] | None = None,
    choose: Chooser | None = None,
) -> Generation:
    """Greedy continuation of ``Q`` prompts about a few images, their longest common start read once an image.

    A family that reads the whole prompt both ways has no start that is independent of the question; there the images
    alone are encoded once.

    Args:
        model: the reader.
        prompts: token ids, all with the image's placeholders at the same place.
        features: image tokens ``[I, N, C]``.
        stop_id: the end token.
        max_new_tokens: an upper bound on an answer's length.
        owners: which image each prompt is about; without it, there is one image.
        choose: changes the scores before the highest is taken.

    Raises ``ValueError`` if the prompts part before or among the image's placeholders.
    """
    device = features.device
    whose = torch.tensor([0] * len(prompts) if owners is None else list(owners), device=device)
    shared = _common_start(prompts)
    if model.image_token_id in {token for prompt in prompts for token in prompt[shared:]}:
        raise ValueError(f"expected prompts that share the image's placeholders, got ones that part at {shared}")
    lengths = {len(prompt) for prompt in prompts}
    if model.family.prefix_block:
        ids, mask = _left_padded(prompts, device)
        return greedy(model, ids, mask, features[whose], stop_id, max_new_tokens, choose)
    if model.slides and len(lengths) > 1:  # padding behind the shared start would fill the window: a length at a time
        groups = [[row for row, prompt in enumerate(prompts) if len(prompt) == length] for length in sorted(lengths)]
        parts = [
            greedy_shared(
                model,
                [prompts[row] for row in rows],
                features,
                stop_id,
                max_new_tokens,
                whose[rows].tolist(),
                None if choose is None else choose.only(rows),
            )
            for rows in groups
        ]
        return _in_order(parts, [row for rows in groups for row in rows], stop_id)
    cache = model.empty_cache()
    start = torch.tensor([list(prompts[0][:shared])] * len(features), device=device)
    positions, beyond = model.positions(start, None)
    model.read(start, torch.ones_like(start), features, positions=positions, cache=cache)
    cache.batch_select_indices(whose)
    ids, mask = _left_padded([prompt[shared:] for prompt in prompts], device)
    beyond = beyond[whose]
    line = shared + (mask.cumsum(dim=1) - 1).clamp(min=0) + beyond[:, None]
    mask = pad(mask, (shared, 0), value=1)
    states = model.read(ids, mask, None, positions=_placed(model, line), cache=cache)
    return _go_on(model, states[:, -1], mask, beyond, cache, stop_id, max_new_tokens, choose)


def _go_on(
    model: Reader,
    state: Tensor,
    mask: Tensor,
    beyond: Tensor,
    cache: Any,
    stop_id: int,
    max_new_tokens: int,
    choose: Chooser | None,
) -> Generation:
    """Write from the state ``[B, D]`` of the last prompt token on."""
    done = torch.zeros(len(state), dtype=torch.bool, device=state.device)
    ids, states = list[Tensor](), list[Tensor]()
    for step in range(max_new_tokens):
        scores = model.logits(state)
        if choose is not None:
            so_far = torch.stack(ids, dim=1) if ids else torch.zeros_like(done, dtype=torch.long)[:, None][:, :0]
            scores = choose(so_far, scores)
        token = scores.argmax(dim=-1).masked_fill(done, stop_id)
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
