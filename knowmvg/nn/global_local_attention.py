"""How prompts meet the image: plain decoding, or the paper's global-local attention (equations 12 to 15)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from knowmvg.nn.box_decoder import Boxes
from knowmvg.nn.local_prompt import LocalPrompt
from knowmvg.nn.mask_decoder import MaskPrompt


class Decoded(NamedTuple):  # a tuple: DeepSpeed's ZeRO-3 finds tensors in no other class
    """Boxes with what led to them; every field has one row a ``<BOX>``, unit coordinates.

    Args:
        boxes: the fused answer.
        branches: the answers that were fused, by name (``local``, ``global``).
        local: ``b_loc`` of equation 10, ``[P, 4]``; in the lineage's baseline a box that is taught and prompts nothing.
        global_mask: logits ``M`` of equation 13, ``[P, m, m]``.
        gate: weight of the global branch, ``[P]``.
    """

    boxes: Boxes
    branches: dict[str, Boxes]
    local: Tensor | None = None
    global_mask: Tensor | None = None
    gate: Tensor | None = None


class Segmenter(nn.Module):
    """SAM's frozen prompt encoder and mask decoder, together."""

    def __init__(self, prompt_encoder: Any, mask_decoder: Any) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    @property
    def no_mask(self) -> Tensor:
        """SAM's dense prompt for "no mask given", ``[1, d, 1, 1]``."""
        weight: Tensor = self.prompt_encoder.no_mask_embed.weight
        return weight.reshape(1, -1, 1, 1)


COARSE = ("none", "trained", "frozen")


class PlainAttention(nn.Module):
    """The baseline: the decoder sees the prompts and the image, one pass.

    ``coarse`` reads a box straight from the ``<BOX>`` embedding beside it, as equation 10 does, which prompts nothing:
    the lineage's second box head, by whose loss the embedding learns places. ``trained`` or, as in the lineage's code,
    ``frozen`` at its random start.
    """

    def __init__(self, decoder: nn.Module, channels: int = 0, coarse: str = "none") -> None:
        super().__init__()
        if coarse not in COARSE:
            raise ValueError(f"expected coarse {'|'.join(COARSE)}, got {coarse!r}")
        self.decoder = decoder
        self.local_prompt = None if coarse == "none" else LocalPrompt(channels).requires_grad_(coarse == "trained")

    def forward(
        self, box_embedding: Tensor, knowledge: Tensor, features: Tensor, positions: Tensor, segmenter: Segmenter
    ) -> Decoded:
        """Decode ``[e_box; P_k]``; see ``GlobalLocalAttention.forward`` for the arguments."""
        prompts = torch.cat([box_embedding.unsqueeze(1), knowledge], dim=1)
        boxes = self.decoder(features + segmenter.no_mask, positions, prompts)
        return Decoded(boxes, {}, None if self.local_prompt is None else self.local_prompt.box(box_embedding))


class Gate(nn.Module):
    """``gamma`` of equation 15: a learnable scalar, 0.5 at the start, or a function of the ``<BOX>`` embedding."""

    def __init__(self, channels: int, kind: str = "scalar") -> None:
        super().__init__()
        if kind not in ("scalar", "phrase"):
            raise ValueError(f"expected a gate scalar|phrase, got {kind!r}")
        self.bias = nn.Parameter(torch.zeros(1))
        self.by_phrase = nn.Linear(channels, 1, bias=False) if kind == "phrase" else None
        if self.by_phrase is not None:
            nn.init.zeros_(self.by_phrase.weight)

    def forward(self, box_embedding: Tensor) -> Tensor:
        """Weights of the global branch ``[P]`` in ``(0, 1)`` for embeddings ``[P, d]``."""
        logit = self.bias.expand(box_embedding.shape[0])
        if self.by_phrase is not None:
            logit = logit + self.by_phrase(box_embedding).squeeze(-1)
        return logit.sigmoid()


MASK_SOURCES = ("text", "text+box", "box", "branch")


class GlobalLocalAttention(nn.Module):
    """The global-local attention (GLA): a box-prompted pass and a mask-prompted pass of one decoder, gated.

    Args:
        decoder: the shared ``BoxDec``.
        channels: width of prompt tokens.
        mask_from: which tokens prompt the frozen mask decoder in equation 13: ``text`` for ``[e_box; P_k]`` (the
            literal reading; a decoder that never saw such tokens draws noise), ``text+box`` adds ``p_loc`` without
            knowledge, ``box`` is ``p_loc`` alone, ``branch`` the corners of the box that the local branch answered
            (a cascade, the recommended choice: docs/deviations.md).
        gate: ``scalar`` or ``phrase``.
        detach_local: whether ``b_loc`` passes no gradient where it is a prompt.
        global_sees_local: whether ``p_loc`` prompts the global branch too (the paper's section III-B; III-D2 says not).
    """

    def __init__(
        self,
        decoder: nn.Module,
        channels: int,
        mask_from: str = "text",
        gate: str = "scalar",
        detach_local: bool = False,
        global_sees_local: bool = False,
    ) -> None:
        super().__init__()
        if mask_from not in MASK_SOURCES:
            raise ValueError(f"expected mask_from {'|'.join(MASK_SOURCES)}, got {mask_from!r}")
        self.joined = True  # whether the global branch takes part; training may leave it out at first
        self.decoder = decoder
        self.local_prompt = LocalPrompt(channels)
        self.mask_prompt = MaskPrompt()
        self.gate = Gate(channels, gate)
        self.mask_from = mask_from
        self.detach_local = detach_local
        self.global_sees_local = global_sees_local

    def forward(
        self, box_embedding: Tensor, knowledge: Tensor, features: Tensor, positions: Tensor, segmenter: Segmenter
    ) -> Decoded:
        """Equations 10 to 15 for ``P`` rows; the local branch alone, without a gate, while not ``joined``.

        Args:
            box_embedding: ``e_box`` ``[P, d]``.
            knowledge: ``P_k`` ``[P, k, d]``; ``k`` is 0 without knowledge prompts.
            features: ``[P, d, grid, grid]`` image features, one row a ``<BOX>``.
            positions: ``[1, d, grid, grid]``.
            segmenter: the frozen SAM parts.
        """
        text = torch.cat([box_embedding.unsqueeze(1), knowledge], dim=1)
        local_box = self.local_prompt.box(box_embedding)
        placed = local_box.detach() if self.detach_local else local_box
        corners = self.local_prompt.tokens(placed, segmenter.prompt_encoder)
        both = torch.cat([text, corners], dim=1)
        local = self.decoder(features + segmenter.no_mask, positions, both)  # eq. 12
        if not self.joined:
            return Decoded(local, {}, local_box)
        prompted_by = self._mask_prompts(box_embedding, text, corners, local.xyxy, segmenter)
        dense, mask = self.mask_prompt(
            features, positions, prompted_by, segmenter.mask_decoder, segmenter.prompt_encoder
        )
        wide = self.decoder(features + dense, positions, both if self.global_sees_local else text)  # eq. 14
        gate = self.gate(box_embedding)
        return Decoded(_fuse(wide, local, gate), {"local": local, "global": wide}, local_box, mask, gate)

    def _mask_prompts(
        self, box_embedding: Tensor, text: Tensor, corners: Tensor, answered: Tensor, segmenter: Segmenter
    ) -> Tensor:
        """The tokens ``[P, n, d]`` of equation 13; the ``answered`` boxes of the local branch pass no gradient."""
        if self.mask_from == "text":
            return text
        if self.mask_from == "text+box":
            return torch.cat([box_embedding.unsqueeze(1), corners], dim=1)
        if self.mask_from == "box":
            return corners
        return self.local_prompt.tokens(answered.detach(), segmenter.prompt_encoder)


def _fuse(wide: Boxes, local: Boxes, gate: Tensor) -> Boxes:
    """Equation 15 on boxes (always valid, being convex), and on scores, masks, attention and hypotheses alike."""

    def mixed(one: Tensor | None, other: Tensor | None) -> Tensor | None:
        if one is None or other is None:
            return None
        share = gate.reshape(-1, *[1] * (one.dim() - 1))
        return share * one + (1 - share) * other

    share = gate.unsqueeze(-1)
    xyxy = share * wide.xyxy + (1 - share) * local.xyxy
    score = gate * wide.score + (1 - gate) * local.score
    attention, hypotheses = mixed(wide.attention, local.attention), mixed(wide.hypotheses, local.hypotheses)
    return Boxes(xyxy, score, mixed(wide.mask, local.mask), attention, hypotheses)
