"""Pre-training of what KnowMVG keeps frozen: image encoder, prompt encoder and mask decoder, on simulated masks.

SAM's recipe at laptop size: structures of an image (anatomy and findings, mentioned or not) are prompted by a point or
a jittered box, and the mask is decoded twice, the second time with the first mask as dense prompt, so that the mask
encoder of equation 13 learns too. A linear map to finding classes gives the features dense supervision beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from knowmvg.core.boxes import of_mask
from knowmvg.grounders.canvas import on_canvas
from knowmvg.losses.grounding import mask_cross_entropy, mask_dice
from knowmvg.nn.global_local_attention import Segmenter
from knowmvg.nn.image_encoder import RadiographEncoder
from knowmvg.nn.mask_decoder import decode_masks
from knowmvg.nn.prompt_encoder import image_positions
from knowmvg.sources.manifest import StudyRow, load_study, read_masks

WEIGHTS = {
    "mask_bce": 2.0,
    "mask_dice": 1.0,
    "second_bce": 2.0,
    "second_dice": 1.0,
    "iou": 0.5,
    "class_bce": 2.0,
    "class_dice": 1.0,
}
JITTER = 0.25  # greatest, as a share of the sides of a box prompt: boxes that a model answers are not exact
POINTS = 0.4  # share of prompts that are a point
SECOND = 3  # every third prompt is decoded again with its first mask as dense prompt


@dataclass(frozen=True, slots=True)
class PromptedImage:
    """An image with ``K`` prompted structures; prompts are canvas pixels.

    Args:
        canvas: ``[S, S]``.
        masks: ``[K, S, S]`` boolean.
        boxes: jittered boxes ``[K, 4]``.
        points: a point inside each structure ``[K, 2]``.
        by_point: ``[K]``, whether the point or the box is the prompt.
        classes: ``[C, S, S]`` boolean, every structure of the image by class.
    """

    canvas: NDArray[np.float32]
    masks: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    by_point: NDArray[np.bool_]
    classes: NDArray[np.bool_]


def structures(row: StudyRow) -> list[tuple[str, int]]:
    """Class and mask bit of everything with a mask in an image, each bit once."""
    found = {bit: name for name, bit in row.anatomy_bits.items()}
    parts = [(p.finding, p.mask_bits) for p in row.phrases] + [(u.finding, u.mask_bits) for u in row.unmentioned]
    for finding, bits in parts:
        found.update({bit: finding for bit in bits if finding is not None})
    return [(name, bit) for bit, name in sorted(found.items())]


class PromptedImages(Dataset[PromptedImage]):
    """``length`` draws from the training images; draw ``i`` depends on the seed and ``i`` alone.

    Every image is drawn once before any is drawn again.
    """

    def __init__(
        self,
        folder: Path,
        rows: Sequence[StudyRow],
        classes: Sequence[str],
        side: int,
        prompts: int,
        seed: int,
        length: int,
    ) -> None:
        self.folder, self.classes, self.side, self.prompts, self.seed, self.length = (
            folder,
            classes,
            side,
            prompts,
            seed,
            length,
        )
        self.rows = [row for row in rows if row.masks is not None and structures(row)]
        rounds = -(-length // max(len(self.rows), 1))
        orders = [np.random.default_rng([seed, 1, turn]).permutation(len(self.rows)) for turn in range(rounds)]
        self.order = np.concatenate([*orders, np.zeros(0, dtype=int)])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> PromptedImage:
        rng = np.random.default_rng([self.seed, 2, index])
        row = self.rows[self.order[index]]
        canvas, frame = on_canvas(load_study(self.folder, row).image, self.side)
        planes = read_masks(self.folder, row)
        assert planes is not None
        named = structures(row)
        masks = np.stack([((planes >> bit) & 1).astype(bool) for _, bit in named])
        if masks.shape[1:] != canvas.shape:
            masks = np.stack([frame.render(mask.astype(np.float32)) > 0.5 for mask in masks])
        classes = np.zeros((len(self.classes), *canvas.shape), dtype=bool)
        for (name, _), mask in zip(named, masks, strict=True):
            classes[self.classes.index(name)] |= mask
        lesions = [i for i, (name, bit) in enumerate(named) if name not in row.anatomy_bits and masks[i].any()]
        anatomy = [i for i, (name, bit) in enumerate(named) if name in row.anatomy_bits and masks[i].any()]
        # findings first: they are what the decoder is for, and anatomy is learned from few prompts
        chosen = list(rng.permutation(lesions)[: self.prompts - 1]) if lesions else []
        chosen += list(rng.choice(anatomy, self.prompts - len(chosen))) if anatomy else []
        picked = masks[np.array(chosen, dtype=int)]
        boxes = np.concatenate([of_mask(mask) for mask in picked])
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        boxes = boxes + rng.normal(0, JITTER / 2, boxes.shape).clip(-JITTER, JITTER) * sides
        return PromptedImage(
            canvas=canvas,
            masks=picked,
            boxes=boxes.clip(0, self.side).astype(np.float32),
            points=np.array([_point_inside(mask, rng) for mask in picked], dtype=np.float32),
            by_point=rng.random(len(picked)) < POINTS,
            classes=classes,
        )


def _point_inside(mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[float, float]:
    y, x = np.nonzero(mask)
    pick = rng.integers(len(y))
    return x[pick] + 0.5, y[pick] + 0.5


def collate_prompted(images: Sequence[PromptedImage]) -> dict[str, Tensor]:
    """Prompted images as tensors; ``rows`` ``[P]`` says which image a prompt belongs to."""
    return {
        "canvas": torch.from_numpy(np.stack([i.canvas for i in images])).unsqueeze(1),
        "masks": torch.from_numpy(np.concatenate([i.masks for i in images])),
        "boxes": torch.from_numpy(np.concatenate([i.boxes for i in images])),
        "points": torch.from_numpy(np.concatenate([i.points for i in images])),
        "by_point": torch.from_numpy(np.concatenate([i.by_point for i in images])),
        "rows": torch.tensor([row for row, i in enumerate(images) for _ in i.masks]),
        "classes": torch.from_numpy(np.stack([i.classes for i in images])),
    }


class SegmenterTask(nn.Module):
    """Image encoder and segmenter with the losses of their pre-training."""

    def __init__(self, encoder: RadiographEncoder, segmenter: Segmenter, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.segmenter = segmenter
        self.classifier = nn.Conv2d(encoder.config.channels, classes, 1)

    def prompt_tokens(self, boxes: Tensor, points: Tensor, by_point: Tensor) -> Tensor:
        """Two tokens a prompt ``[P, 2, d]``: the corners of a box, or a point and SAM's padding point."""
        encoder: Any = self.segmenter.prompt_encoder
        labels = torch.ones(len(points), 1, 1, dtype=torch.int, device=points.device)
        pointed, _ = encoder(points[:, None, None] - 0.5, labels, None, None)
        boxed, _ = encoder(None, None, boxes[:, None] - 0.5, None)
        return torch.where(by_point[:, None, None], pointed[:, 0], boxed[:, 0])

    def masks(self, features: Tensor, tokens: Tensor, dense: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mask logits and IoU estimates for prompts on their rows' features."""
        return decode_masks(
            self.segmenter.mask_decoder,
            features,
            image_positions(self.segmenter.prompt_encoder),
            tokens,
            self.segmenter.no_mask if dense is None else dense,
        )

    def forward(
        self,
        canvas: Tensor,
        masks: Tensor,
        boxes: Tensor,
        points: Tensor,
        by_point: Tensor,
        rows: Tensor,
        classes: Tensor,
    ) -> dict[str, Tensor]:
        """Named loss terms."""
        features = self.encoder(canvas)
        tokens = self.prompt_tokens(boxes, points, by_point)
        first, quality = self.masks(features[rows], tokens)
        wanted = F.interpolate(masks.unsqueeze(1).float(), first.shape[-2:], mode="area").squeeze(1)
        again = torch.arange(len(rows), device=rows.device) % SECOND == 0
        dense = self.segmenter.prompt_encoder.mask_embed(first[again].detach().unsqueeze(1))
        second, second_quality = self.masks(features[rows[again]], tokens[again], dense)
        reached = _mask_iou(first, wanted)
        classified = self.classifier(features)
        labels = F.interpolate(classes.float(), classified.shape[-2:], mode="area")
        present = labels.flatten(2).amax(dim=2) > 0
        return {
            "mask_bce": mask_cross_entropy(first, wanted),
            "mask_dice": mask_dice(first, wanted),
            "second_bce": mask_cross_entropy(second, wanted[again]),
            "second_dice": mask_dice(second, wanted[again]),
            "iou": F.mse_loss(quality, reached) + F.mse_loss(second_quality, _mask_iou(second, wanted[again])),
            "class_bce": F.binary_cross_entropy_with_logits(classified, labels),
            "class_dice": mask_dice(classified[present], labels[present]),
        }


@torch.no_grad()
def _mask_iou(logits: Tensor, wanted: Tensor) -> Tensor:
    drawn, target = (logits > 0).flatten(1), (wanted > 0.5).flatten(1)
    return (drawn & target).sum(1) / (drawn | target).sum(1).clamp(min=1)


@torch.no_grad()
def mask_iou_by_class(
    task: SegmenterTask, folder: Path, rows: Sequence[StudyRow], side: int, limit: int = 200
) -> dict[str, float]:
    """Mean IoU of masks prompted with the reference box, by class: how good the frozen part is."""
    task.eval()
    device = task.classifier.weight.device
    scores: dict[str, list[float]] = {}
    for row in [r for r in rows if r.masks is not None][:limit]:
        canvas, frame = on_canvas(load_study(folder, row).image, side)
        planes = read_masks(folder, row)
        assert planes is not None
        named = structures(row)
        masks = np.stack([frame.render(((planes >> bit) & 1).astype(np.float32)) > 0.5 for _, bit in named])
        named = [n for n, m in zip(named, masks, strict=True) if m.any()]
        masks = masks[masks.any(axis=(1, 2))]
        boxes = torch.from_numpy(np.concatenate([of_mask(m) for m in masks]).astype(np.float32)).to(device)
        features = task.encoder(torch.from_numpy(canvas)[None, None].to(device)).expand(len(masks), -1, -1, -1)
        tokens = task.prompt_tokens(boxes, boxes[:, :2], torch.zeros(len(boxes), dtype=torch.bool, device=device))
        logits, _ = task.masks(features, tokens)
        drawn = F.interpolate(logits.unsqueeze(1), (side, side), mode="bilinear").squeeze(1)
        wanted = torch.from_numpy(masks).float().to(device)
        for (name, _), value in zip(named, _mask_iou(drawn, wanted).tolist(), strict=True):
            scores.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in sorted(scores.items())}
