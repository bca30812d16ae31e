"""PFMVG's tuning: LoRA on the language model and the projection are trained, and nothing else (section 2.2).

A small language model that has read little is trained as a whole instead, in stage 1. The vision encoder is frozen, so
its tokens are computed once a picture (``seen``) and the projection is run on them in every step (``joined``). The loss
is taken on the answer and its end alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.nn.backbones.backbone import Backbone

IGNORED = -100


@dataclass(frozen=True, slots=True)
class AnswerBatch:
    """Questions with their answers.

    Args:
        input_ids: ``[B, T]``, right padded.
        attention_mask: ``[B, T]``.
        labels: ``[B, T]``: the id at each place of the answer and its end, ``IGNORED`` elsewhere.
        seen: tokens ``[B, N, C]`` of the frozen vision encoder.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    seen: Tensor

    def to(self, device: torch.device | str) -> AnswerBatch:
        """The same on a device."""
        return AnswerBatch(*(t.to(device) for t in (self.input_ids, self.attention_mask, self.labels, self.seen)))


def projection_of(vlm: Backbone) -> nn.Module:
    """The projection from image tokens to the language model. Raises ``ValueError`` for a family without one."""
    found = getattr(vlm.model.model, "multi_modal_projector", None)
    if not isinstance(found, nn.Module):
        raise ValueError(f"expected a model with a multi_modal_projector, got {type(vlm.model).__name__}")
    return found


def unfreeze(vlm: Backbone, *, projection: bool = True, language: bool = False) -> dict[str, nn.Parameter]:
    """Let the projection be trained beside the adapters, and with ``language`` the language model; ``trainable``."""
    modules = [projection_of(vlm)] if projection else []
    for module in [*modules, *(_language(vlm) if language else ())]:
        module.requires_grad_(True)
    return trainable(vlm, projection=projection, language=language)


def trainable(vlm: Backbone, *, projection: bool = True, language: bool = False) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name.

    Raises ``ValueError`` unless they are exactly those that should be: both factors of every adapter of the decoder's
    target matrices, with ``projection`` the projection, and with ``language`` the language model.
    """
    found = {name: parameter for name, parameter in vlm.model.named_parameters() if parameter.requires_grad}
    expected = expected_names(vlm, projection=projection, language=language)
    if set(found) != expected:
        name = sorted(set(found) ^ expected)[0]
        raise ValueError(f"expected adapters and projection alone to be trained, got a difference at {name}")
    return found


def expected_names(vlm: Backbone, *, projection: bool = True, language: bool = False) -> set[str]:
    """Names of what should be trained, from the configuration of the adapters and not from what holds a gradient."""
    names: set[str] = set()
    adapter = vlm.adapter()
    if adapter is not None:
        (label,) = vlm.model.peft_config
        for target in adapter[0].target_modules:
            names |= {f"{target}.lora_{part}.{label}.weight" for part in ("A", "B")}
    modules = [projection_of(vlm)] if projection else []
    for module in [*modules, *(_language(vlm) if language else ())]:
        prefix = next(name for name, other in vlm.model.named_modules() if other is module)
        names |= {f"{prefix}.{name}" for name, _ in module.named_parameters()}
    return names


def _language(vlm: Backbone) -> tuple[nn.Module, ...]:
    """Decoder, its embedding within, and output layer."""
    head: nn.Module = vlm.model.lm_head
    return vlm.decoder, head


@torch.no_grad()
def seen(loaded: SpeakingBackbone, pictures: Mapping[str, Tensor]) -> Tensor:
    """Tokens ``[B, N, C]`` of the frozen vision encoder, before the projection; they can be kept."""
    tower = loaded.vlm.model.model.vision_tower
    pixels = pictures["pixel_values"].to(loaded.vlm.model.device, loaded.vlm.model.dtype)
    tokens: Tensor = tower(pixel_values=pixels, return_dict=True).last_hidden_state[:, 1:]
    return tokens


def collate(
    loaded: SpeakingBackbone, pairs: Sequence[tuple[str, str]], tokens: Tensor, most_tokens: int | None = None
) -> AnswerBatch:
    """Questions and answers as a batch; ``tokens`` ``[B, N, C]`` are what the vision encoder saw.

    A pair of more than ``most_tokens`` tokens loses the end of its answer, its end token with it.
    """
    written = [loaded.conversation.written(question, answer) for question, answer in pairs]
    rows = [([*prompt, *answer][:most_tokens], len(prompt)) for prompt, answer in written]
    width = max(len(row) for row, _ in rows)
    ids = torch.full((len(rows), width), loaded.conversation.pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for place, (row, start) in enumerate(rows):
        values = torch.tensor(row)
        ids[place, : len(row)], mask[place, : len(row)] = values, 1
        labels[place, start : len(row)] = values[start:]
    return AnswerBatch(ids, mask, labels, tokens)


def answer_loss(vlm: Backbone, batch: AnswerBatch) -> Tensor:
    """Cross entropy of the answers' tokens, each by the state one place before it, averaged over the tokens."""
    projection = projection_of(vlm)
    features = projection(batch.seen.to(next(projection.parameters()).dtype))
    states = vlm(batch.input_ids, batch.attention_mask, features)
    following = batch.labels[:, 1:]
    learnt = following != IGNORED  # the output layer is wide: it is run where there is something to learn
    return cross_entropy(vlm.logits(states[:, :-1][learnt]), following[learnt])
