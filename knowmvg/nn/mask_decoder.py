"""The mask decoders: SAM's frozen copy that draws the global prompt (equation 13), and LISA's mask to box."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from knowmvg.nn.box_decoder import Boxes


def decode_masks(
    decoder: Any, features: Tensor, positions: Tensor, prompts: Tensor, dense: Tensor
) -> tuple[Tensor, Tensor]:
    """Mask logits ``[P, m, m]`` and IoU estimates ``[P]`` of a SAM mask decoder, one phrase a row.

    SAM's dense prompt belongs to an image, not to a prompt; so every phrase is a row of the image batch.

    Args:
        decoder: a ``SamMaskDecoder``.
        features: ``[P, d, grid, grid]`` image features.
        positions: ``[1, d, grid, grid]``.
        prompts: ``[P, n, d]`` sparse prompts.
        dense: ``[P or 1, d, grid, grid]`` dense prompts.
    """
    masks, quality = decoder(
        image_embeddings=features,
        image_positional_embeddings=positions.expand(features.shape[0], -1, -1, -1),
        sparse_prompt_embeddings=prompts.unsqueeze(1),
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    return masks[:, 0, 0], quality[:, 0, 0]


class MaskPrompt(nn.Module):
    """Equation 13: ``M = SAMdec(F, prompts)``, ``D_g = phi_mask(Resize(M))``, both parts frozen.

    The decoder and prompt encoder are not registered here but handed in, so that freezing them is decided in one
    place. Logits, not binary masks, go into the mask encoder, as in SAM's own cascade.
    """

    def forward(
        self, features: Tensor, positions: Tensor, prompts: Tensor, mask_decoder: Any, prompt_encoder: Any
    ) -> tuple[Tensor, Tensor]:
        """``D_g`` ``[P, d, grid, grid]`` and the logits ``M`` ``[P, 4 grid, 4 grid]``."""
        no_mask = prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        logits, _ = decode_masks(mask_decoder, features, positions, prompts, no_mask)
        return cast(Tensor, prompt_encoder.mask_embed(logits.unsqueeze(1))), logits


def soft_extent(logits: Tensor, sharpness: float = 1.0) -> Tensor:
    """The tight unit box ``[P, 4]`` of the region where mask logits ``[P, h, w]`` are positive.

    An edge lies where the profile of the mask (its maximum over rows or columns) first and last exceeds one half,
    interpolated between cells. A mask without a positive cell gives the box of its highest cell.
    """
    boxes = []
    for profile in (logits.amax(dim=1), logits.amax(dim=2)):  # over x, over y
        size = profile.shape[1]
        inside = profile > 0
        inside = torch.where(inside.any(dim=1, keepdim=True), inside, profile == profile.amax(dim=1, keepdim=True))
        first = inside.int().argmax(dim=1)
        last = size - 1 - inside.flip(1).int().argmax(dim=1)
        boxes.append((first / size, (last + 1) / size))
    (x1, x2), (y1, y2) = boxes
    return torch.stack([x1, y1, x2, y2], dim=1)


class MaskToBox(nn.Module):
    """LISA's way to a box: a trained mask decoder draws the phrase, the box is the extent of the drawing.

    The score is the decoder's own IoU estimate.
    """

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: Tensor, positions: Tensor, prompts: Tensor) -> Boxes:
        """Boxes of ``P`` rows; the arguments are those of ``BoxDecoder.forward``."""
        if features.shape[0] == 0:
            side = 4 * features.shape[-1]
            return Boxes(features.new_zeros(0, 4), features.new_zeros(0), features.new_zeros(0, side, side))
        logits, quality = decode_masks(self.decoder, features, positions, prompts, torch.zeros_like(features[:1]))
        return Boxes(soft_extent(logits), quality, logits)
