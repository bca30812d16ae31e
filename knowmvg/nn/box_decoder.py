"""Equation 12: the box decoder, SAM's two-way transformer with a box token instead of masks, and its heads."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from knowmvg.nn.box_ops import cxcywh_to_xyxy, ordered
from knowmvg.nn.feed_forward import MLP
from knowmvg.nn.prompt_encoder import PromptConfig, build_two_way_transformer

MAX_HYPOTHESES = 5  # SAM's IoU token and its four mask tokens


class Boxes(NamedTuple):  # a tuple: DeepSpeed's ZeRO-3 finds tensors in no other class
    """What a decoder says of ``P`` prompts.

    Args:
        xyxy: unit boxes ``[P, 4]``.
        score: logit ``[P]`` of the IoU that the decoder expects of its box.
        mask: logits ``[P, h, w]`` over the canvas where the decoder draws one, else ``None``.
        attention: softmax weights ``[P, heads, h, w]`` of the box token over the image tokens, where they were asked
            for (nn/attention_weights.py); the sum over the cells is 1.
        hypotheses: unit boxes ``[P, H, 4]`` whose mean ``xyxy`` is, the main one first, where a decoder has several.
    """

    xyxy: Tensor
    score: Tensor
    mask: Tensor | None = None
    attention: Tensor | None = None
    hypotheses: Tensor | None = None


class TokenBoxHead(nn.Module):
    """The published head: an MLP on the decoded box token, sigmoid, ``(cx, cy, w, h)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.box = MLP(channels, channels, 4, layers=3)

    def forward(self, token: Tensor, image: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Unit xyxy ``[P, 4]`` of decoded tokens ``[P, d]``; neither image tokens nor drawing are read."""
        return cxcywh_to_xyxy(self.box(token).sigmoid())


class EdgeBoxHead(nn.Module):
    """Each edge is the expected coordinate of a map over the image tokens, plus a small offset.

    The attention output that the published head reads has lost position; here the box token asks four questions
    ("where is the left edge?" ...) of the image tokens after the two-way transformer. Deviation from the paper,
    measured in results/ablation.md.
    """

    offset_range = 0.1

    def __init__(self, channels: int, grid: int) -> None:
        super().__init__()
        self.queries = MLP(channels, channels, 4 * channels, layers=2)
        self.keys = nn.Linear(channels, channels)
        self.offset = MLP(channels, channels, 4, layers=3)
        self.scale = channels**-0.5
        centres = (torch.arange(grid) + 0.5) / grid
        self.register_buffer("cells_x", centres.repeat(grid), persistent=False)
        self.register_buffer("cells_y", centres.repeat_interleave(grid), persistent=False)
        self.cells_x: Tensor
        self.cells_y: Tensor

    def forward(self, token: Tensor, image: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Unit xyxy ``[P, 4]`` of decoded tokens ``[P, d]`` and image tokens ``[P, grid * grid, d]``."""
        queries = self.queries(token).unflatten(-1, (4, -1))
        where = (queries @ self.keys(image).transpose(1, 2) * self.scale).softmax(dim=-1)
        cells = torch.stack([self.cells_x, self.cells_y, self.cells_x, self.cells_y])
        expected = (where * cells).sum(dim=-1)
        return ordered(expected + self.offset_range * self.offset(token).tanh())


class ExtentBoxHead(nn.Module):
    """The recommended head: the box is the extent of what the decoder draws, in a form that gradients pass.

    No image token by itself can know that it is the leftmost of a finding; a drawing of the finding knows. Column
    ``j`` of the drawing is occupied with probability ``p_j``, the sigmoid of its highest logit; walking in from the
    left, the columns still empty number ``sum_j prod_(i <= j) (1 - p_i)`` on average, and that is where the left edge
    lies. The other edges likewise. A column that is half covered counts for half, so that edges fall between cells. A
    small offset is added. Deviation from the paper, measured in results/ablation.md.
    """

    offset_range = 0.1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.ones(1))
        self.threshold = nn.Parameter(torch.zeros(1))
        self.offset = MLP(channels, channels, 4, layers=3)

    def forward(self, token: Tensor, image: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Unit xyxy ``[P, 4]`` of decoded tokens ``[P, d]`` and logits of drawings ``[P, h, w]``."""
        assert drawn is not None
        logits = self.sharpness.exp() * (drawn - self.threshold)
        across, down = F.logsigmoid(-logits.amax(dim=1)), F.logsigmoid(-logits.amax(dim=2))  # log of being empty
        extent = [_empty(across), _empty(down), 1 - _empty(across.flip(1)), 1 - _empty(down.flip(1))]
        return ordered(torch.stack(extent, dim=1) + self.offset_range * self.offset(token).tanh())


def _empty(log_empty: Tensor) -> Tensor:
    """Expected share ``[P]`` of cells before the first occupied one, of log probabilities of being empty ``[P, n]``."""
    return log_empty.cumsum(dim=1).exp().mean(dim=1)


class BoxDecoder(nn.Module):
    """``BoxDec`` of equations 12 and 14: image features with a dense prompt, sparse prompts, one box a row.

    The transformer has the shape of SAM's mask decoder and starts from its weights where those are given; the box
    token starts from SAM's IoU token, whose place it takes. With ``draws_masks``, and always with the head ``extent``,
    the decoder also draws what it boxes: the dot product of a query with every image token.

    With more than one of ``hypotheses`` (uMedGround's multiple hypotheses; Zou et al., 2025) there are further tokens,
    which start from SAM's mask tokens and are read by the same head; the answer is the mean of their boxes. Score and
    drawing are the box token's.
    """

    def __init__(
        self, config: PromptConfig, head: str = "extent", draws_masks: bool = False, hypotheses: int = 1
    ) -> None:
        super().__init__()
        channels, grid = config.channels, config.grid
        heads = {
            "token": lambda: TokenBoxHead(channels),
            "edge": lambda: EdgeBoxHead(channels, grid),
            "extent": lambda: ExtentBoxHead(channels),
        }
        if head not in heads:
            raise ValueError(f"expected a box head of {sorted(heads)}, got {head!r}")
        if not 1 <= hypotheses <= MAX_HYPOTHESES:
            raise ValueError(f"expected 1 to {MAX_HYPOTHESES} hypotheses, got {hypotheses}")
        self.transformer = build_two_way_transformer(config)
        self.box_token = nn.Parameter(torch.randn(1, 1, channels) * 0.02)
        self.other_tokens = nn.Parameter(torch.randn(1, hypotheses - 1, channels) * 0.02) if hypotheses > 1 else None
        self.head = heads[head]()
        self.score = MLP(channels, channels, 1, layers=2)
        self.mask_query = MLP(channels, channels, channels, layers=3) if draws_masks or head == "extent" else None

    def start_from(self, mask_decoder: Any) -> None:
        """Copy the transformer, the IoU token and the mask tokens in use of a SAM mask decoder of the same size."""
        self.transformer.load_state_dict(mask_decoder.transformer.state_dict())
        with torch.no_grad():
            self.box_token.copy_(mask_decoder.iou_token.weight[None])
            if self.other_tokens is not None:
                self.other_tokens.copy_(mask_decoder.mask_tokens.weight[None, : self.other_tokens.shape[1]])

    def forward(self, features: Tensor, positions: Tensor, prompts: Tensor) -> Boxes:
        """Boxes of ``P`` rows.

        Args:
            features: ``[P, d, grid, grid]``, image features plus each row's dense prompt.
            positions: ``[1, d, grid, grid]``, SAM's positional encoding of the grid.
            prompts: ``[P, n, d]`` sparse prompt tokens.
        """
        rows, channels, height, width = features.shape
        own = self.box_token if self.other_tokens is None else torch.cat([self.box_token, self.other_tokens], dim=1)
        if rows == 0:
            mask = features.new_zeros(0, height, width) if self.mask_query is not None else None
            several = None if own.shape[1] == 1 else features.new_zeros(0, own.shape[1], 4)
            return Boxes(features.new_zeros(0, 4), features.new_zeros(0), mask, hypotheses=several)
        tokens = torch.cat([own.expand(rows, -1, -1), prompts], dim=1)
        decoded, image = self.transformer(
            point_embeddings=tokens.unsqueeze(1),
            image_embeddings=features,
            image_positional_embeddings=positions,
            attention_similarity=None,
        )
        image = image[:, 0]

        def drawn(token: Tensor) -> Tensor | None:
            if self.mask_query is None:
                return None
            cells = image @ self.mask_query(token).unsqueeze(-1) * channels**-0.5
            drawing: Tensor = cells.squeeze(-1).unflatten(-1, (height, width))
            return drawing

        asked = decoded[:, 0, : own.shape[1]].unbind(dim=1)
        drawings = [drawn(token) for token in asked]
        boxes = [self.head(token, image, mask) for token, mask in zip(asked, drawings, strict=True)]
        score = self.score(asked[0]).squeeze(-1)
        if len(boxes) == 1:
            return Boxes(boxes[0], score, drawings[0])
        several = torch.stack(boxes, dim=1)
        return Boxes(several.mean(dim=1), score, drawings[0], hypotheses=several)
