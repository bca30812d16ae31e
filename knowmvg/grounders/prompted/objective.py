"""What a prompted model is taught: the terms of equation 18 and of the additions to it, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from knowmvg.grounders.prompted.batch import Batch
from knowmvg.grounders.prompted.model import Placed, PromptedModel
from knowmvg.losses.grounding import (
    generalized_iou,
    knowledge_alignment,
    mask_cross_entropy,
    mask_dice,
    phrase_identification,
    score_calibration,
    smooth_l1,
)
from knowmvg.losses.hypotheses import hypothesis_weights
from knowmvg.losses.stand_in import standing_in
from knowmvg.nn.box_decoder import Boxes
from knowmvg.nn.box_ops import filled

TERMS = (
    "text",
    "box_l1",
    "box_giou",
    "local_l1",
    "local_giou",
    "branch_l1",
    "branch_giou",
    "score",
    "mask_bce",
    "mask_dice",
    "knowledge",
)


@dataclass(frozen=True, slots=True)
class Objective:
    """How the terms are taken; their weights are the recipe's.

    Args:
        l1_beta: where SmoothL1 turns from quadratic to linear, in unit coordinates; 0 is plain L1, the lineage's.
        hypotheses: how several boxes of one phrase are weighted, ``published`` or ``error`` (losses/hypotheses.py).
    """

    l1_beta: float = 0.1
    hypotheses: str = "published"


def grounding_losses(
    model: PromptedModel, batch: Batch, objective: Objective | None = None, alike: bool = False
) -> dict[str, Tensor]:
    """Loss terms of a batch, each a scalar; a term is present when the model has the part that it teaches
    and the batch has a box.

    ``text`` is equation 16, ``box_*`` equation 17. ``local_*`` teach the coarse box of equation 10, ``branch_*`` each
    branch of equations 12 and 14 by itself, ``mask_*`` what the decoder draws (the reference mask, or the filled box
    where the data has no mask), ``score`` the boxes' scores and ``knowledge`` the selection of equation 8: the paper
    has none of these (docs/deviations.md). Of a decoder with several hypotheses each is taught, with its weight.

    Under autocast the language model alone computes in half precision: bfloat16 tells the right half of an image in
    steps of 1/256 of its side, too coarse for a box.

    With ``alike`` a batch without a box computes all that one with boxes does: it places a stand-in
    (``Batch.with_stand_in``), whose terms are those of ``losses.stand_in`` (DeepSpeed).
    """
    objective = objective or Objective()
    features = batch.image if batch.cached else model.encode(batch.image)
    features = features.to(next(model.projection.parameters()).dtype)  # a frozen base may be half precision
    states = model.vlm(batch.input_ids, None, features if batch.tokens is None else batch.tokens)
    terms = {
        "text": phrase_identification(model.vlm.logits(states[batch.text_rows, batch.text_columns]), batch.text_targets)
    }
    if without := len(batch.boxes) == 0:
        if not alike:
            return terms
        batch = batch.with_stand_in()
    with torch.autocast(features.device.type, enabled=False):
        emitting, answers = batch.emitting(states.to(features.dtype))
        placed = _of_boxes(model.place(emitting, answers, features, batch.box_rows), batch, objective)
    return terms | (standing_in(placed) if without else placed)


def _of_boxes(placed: Placed, batch: Batch, objective: Objective) -> dict[str, Tensor]:
    """The terms of a batch with boxes that concern them."""
    terms: dict[str, Tensor] = {}
    decoded, boxes = placed.decoded, batch.boxes
    terms["box_l1"], terms["box_giou"] = _box_terms(decoded.boxes, boxes, objective)
    terms["score"] = score_calibration(decoded.boxes.score, decoded.boxes.xyxy, boxes)
    if decoded.local is not None:
        terms["local_l1"] = smooth_l1(decoded.local, boxes, objective.l1_beta)
        terms["local_giou"] = generalized_iou(decoded.local, boxes)
    if decoded.branches:
        branches = [_box_terms(branch, boxes, objective) for branch in decoded.branches.values()]
        terms["branch_l1"], terms["branch_giou"] = (_mean(several) for several in zip(*branches, strict=True))
    if decoded.boxes.mask is not None:
        drawn = decoded.boxes.mask
        masks = F.interpolate(batch.masks.unsqueeze(1), drawn.shape[-2:], mode="area").squeeze(1)
        wanted = torch.where(batch.has_mask[:, None, None], masks, filled(boxes, *drawn.shape[-2:]))
        terms["mask_bce"] = mask_cross_entropy(drawn, wanted)
        terms["mask_dice"] = mask_dice(drawn, wanted)
    if placed.knowledge.similarity.shape[1]:
        terms["knowledge"] = knowledge_alignment(placed.knowledge.similarity, batch.related)
    return terms


def _box_terms(placed: Boxes, boxes: Tensor, objective: Objective) -> tuple[Tensor, Tensor]:
    """Both terms of equation 17 for what a decoder answered."""
    weights, answered = None, placed.xyxy
    if placed.hypotheses is not None:
        answered = placed.hypotheses
        weights = hypothesis_weights(answered, boxes, objective.hypotheses)
    return smooth_l1(answered, boxes, objective.l1_beta, weights), generalized_iou(answered, boxes, weights)


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
