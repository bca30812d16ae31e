"""What a prompted model is taught: the terms of equation 18 and of the additions to it, by name."""

from __future__ import annotations

from collections.abc import Iterable

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


def grounding_losses(model: PromptedModel, batch: Batch) -> dict[str, Tensor]:
    """Loss terms of a batch, each a scalar; a term is present when the model has the part that it teaches
    and the batch has a box.

    ``text`` is equation 16, ``box_*`` equation 17. ``local_*`` teach the coarse box of equation 10, ``branch_*`` each
    branch of equations 12 and 14 by itself, ``mask_*`` what the decoder draws (the reference mask, or the filled box
    where the data has no mask), ``score`` the boxes' scores and ``knowledge`` the selection of equation 8: the paper
    has none of these (docs/deviations.md).

    Under autocast the language model alone computes in half precision: bfloat16 tells the right half of an image in
    steps of 1/256 of its side, too coarse for a box.
    """
    features = batch.image if batch.cached else model.encode(batch.image)
    features = features.to(next(model.projection.parameters()).dtype)
    states = model.vlm(batch.input_ids, None, features if batch.tokens is None else batch.tokens)
    terms = {
        "text": phrase_identification(model.vlm.logits(states[batch.text_rows, batch.text_columns]), batch.text_targets)
    }
    if len(batch.boxes) == 0:
        return terms
    with torch.autocast(features.device.type, enabled=False):
        emitting, answers = batch.emitting(states.to(features.dtype))
        return terms | _of_boxes(model.place(emitting, answers, features, batch.box_rows), batch)


def _of_boxes(placed: Placed, batch: Batch) -> dict[str, Tensor]:
    """The terms of a batch with boxes that concern them."""
    terms: dict[str, Tensor] = {}
    decoded, boxes = placed.decoded, batch.boxes
    terms["box_l1"] = smooth_l1(decoded.boxes.xyxy, boxes)
    terms["box_giou"] = generalized_iou(decoded.boxes.xyxy, boxes)
    terms["score"] = score_calibration(decoded.boxes.score, decoded.boxes.xyxy, boxes)
    if decoded.local is not None:
        terms["local_l1"] = smooth_l1(decoded.local, boxes)
        terms["local_giou"] = generalized_iou(decoded.local, boxes)
    if decoded.branches:
        terms["branch_l1"] = _mean(smooth_l1(b.xyxy, boxes) for b in decoded.branches.values())
        terms["branch_giou"] = _mean(generalized_iou(b.xyxy, boxes) for b in decoded.branches.values())
    if decoded.boxes.mask is not None:
        drawn = decoded.boxes.mask
        masks = F.interpolate(batch.masks.unsqueeze(1), drawn.shape[-2:], mode="area").squeeze(1)
        wanted = torch.where(batch.has_mask[:, None, None], masks, filled(boxes, *drawn.shape[-2:]))
        terms["mask_bce"] = mask_cross_entropy(drawn, wanted)
        terms["mask_dice"] = mask_dice(drawn, wanted)
    if placed.knowledge.similarity.shape[1]:
        terms["knowledge"] = knowledge_alignment(placed.knowledge.similarity, batch.related)
    return terms


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
