"""From labelled studies to tensors: the only border between records and the prompted models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowmvg.core.frames import Frame
from knowmvg.core.records import LabelledPhrase, Phrase, Study
from knowmvg.grounders.canvas import on_canvas
from knowmvg.grounders.prompted.tokenizer import ReportTokenizer

MASK_SIDE = 64

Related = Callable[[Phrase], set[int]]


@dataclass(frozen=True, slots=True)
class Example:
    """One study as a model reads and is taught it; box rows are in the order of the answer's ``<BOX>`` tokens.

    Args:
        canvas: ``[S, S]`` float32, or ``None`` where features come from a cache.
        frame: stored pixels to canvas.
        prompt: ids up to and including ``<answer>``.
        answer: ids of the answer, ``<end>`` included.
        boxes: unit boxes ``[P, 4]``.
        masks: soft masks ``[P, 64, 64]`` over the canvas; a row of NaN where there is none.
        related: for each box the knowledge nodes that concern its phrase.
        left_out: labelled phrases that did not fit, with their boxes.
        cut: characters of the report that did not fit.
    """

    id: str
    canvas: NDArray[np.float32] | None
    frame: Frame
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    boxes: NDArray[np.float32]
    masks: NDArray[np.float16]
    related: tuple[tuple[int, ...], ...]
    left_out: int = 0
    cut: int = 0

    def without_canvas(self) -> Example:
        """The example for use with cached features."""
        return replace(self, canvas=None)


def placed_labels(study: Study) -> list[LabelledPhrase]:
    """The labelled phrases that get boxes, in the order of the report."""
    labels = [label for label in study.labels if label.phrase.assertion.placed and len(label.boxes)]
    return sorted(labels, key=lambda label: label.phrase.span or (len(study.report), 0))


def _soft_masks(label: LabelledPhrase, frame: Frame) -> NDArray[np.float16]:
    """Masks of a phrase ``[n, 64, 64]`` on the canvas, averaged over each cell; NaN where the data set has none."""
    if label.masks is None:
        return np.full((len(label.boxes), MASK_SIDE, MASK_SIDE), np.nan, dtype=np.float16)
    coarse = frame.on((MASK_SIDE, MASK_SIDE))
    return np.stack([coarse.render(mask.astype(np.float32)) for mask in label.masks]).astype(np.float16)


def make_example(study: Study, tokenizer: ReportTokenizer, side: int, related: Related) -> Example:
    """A labelled study as an example; phrases that are absent, resolved or prior are no part of the answer."""
    canvas, frame = on_canvas(study.image, side)
    labels = placed_labels(study)
    ends = [label.phrase.span[1] if label.phrase.span else len(study.report) for label in labels]
    written = tokenizer.write(study.report, [(label.phrase.text, len(label.boxes)) for label in labels], ends)
    left_out, labels = len(labels) - written.kept, labels[: written.kept]
    boxes = [frame.to_unit(label.boxes) for label in labels]
    masks = [_soft_masks(label, frame) for label in labels]
    return Example(
        id=study.id,
        canvas=canvas,
        frame=frame,
        prompt=written.prompt,
        answer=written.answer,
        boxes=np.concatenate([*boxes, np.zeros((0, 4))]).astype(np.float32),
        masks=np.concatenate([*masks, np.zeros((0, MASK_SIDE, MASK_SIDE), np.float16)]),
        related=tuple(tuple(sorted(related(label.phrase))) for label in labels for _ in label.boxes),
        left_out=left_out,
        cut=written.cut,
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """``B`` studies with ``K`` answer tokens and ``P`` boxes in all.

    ``*_rows`` and ``*_columns`` point at the position whose hidden state predicts the token: one before it.

    Args:
        input_ids: ``[B, T]``, padded on the right.
        image: features ``[B, d, g, g]`` if ``cached``, else canvases ``[B, 1, S, S]``.
        text_targets: ``[K]`` ids, with ``text_rows`` and ``text_columns`` ``[K]``.
        boxes: unit boxes ``[P, 4]``, with ``box_rows`` and ``box_columns`` ``[P]``.
        masks: ``[P, 64, 64]``; ``has_mask`` ``[P]`` says which rows hold one.
        related: ``[P, N]`` nodes of the knowledge graph that concern a box's phrase.
        tokens: image tokens ``[B, N, C]`` of a language model that has a vision tower of its own.
    """

    input_ids: Tensor
    image: Tensor
    cached: bool
    text_targets: Tensor
    text_rows: Tensor
    text_columns: Tensor
    boxes: Tensor
    box_rows: Tensor
    box_columns: Tensor
    masks: Tensor
    has_mask: Tensor
    related: Tensor
    tokens: Tensor | None = None

    @property
    def read(self) -> Tensor:
        """The image as the language model reads it."""
        return self.image if self.tokens is None else self.tokens

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on a device; accelerate's loaders move whatever has this method."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for loaders that copy to a GPU while it computes."""
        return self._with(lambda tensor: tensor.pin_memory())

    def _with(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)

    def with_stand_in(self) -> Batch:
        """A batch without a box with one of no meaning: the middle of the first image, for its answer's first token."""
        return replace(
            self,
            boxes=self.boxes.new_tensor([[0.25, 0.25, 0.75, 0.75]]),
            box_rows=self.text_rows[:1],
            box_columns=self.text_columns[:1],
            masks=self.masks.new_zeros(1, *self.masks.shape[1:]),
            has_mask=self.has_mask.new_zeros(1),
            related=self.related.new_zeros(1, self.related.shape[1]),
        )

    def emitting(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Of hidden states ``[B, T, D]`` those that emit each box, ``[P, D]``, and the means over their answers."""
        every = states[self.text_rows, self.text_columns]
        sums = every.new_zeros(len(states), every.shape[1]).index_add(0, self.text_rows, every)
        counts = self.text_rows.bincount(minlength=len(states)).clamp(min=1).unsqueeze(1)
        return states[self.box_rows, self.box_columns], (sums / counts)[self.box_rows]


def right_padded(rows: Sequence[Sequence[int]], pad: int) -> Tensor:
    """Ids ``[B, T]`` padded on the right."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])


def left_padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask ``[B, T]`` padded on the left, for generation."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*[pad] * (width - len(row)), *row] for row in rows])
    mask = torch.tensor([[*[0] * (width - len(row)), *[1] * len(row)] for row in rows])
    return ids, mask


def collate(
    examples: Sequence[Example],
    tokenizer: ReportTokenizer,
    nodes: int,
    features: Tensor | None = None,
    tokens: Tensor | None = None,
) -> Batch:
    """Examples as one batch; ``features`` ``[B, d, g, g]`` replace the canvases where they were cached.

    ``tokens`` ``[B, N, C]`` are what a backbone's own vision tower gave for the canvases (``Backbone.look``).
    """
    text: list[tuple[int, int, int]] = []
    box: list[tuple[int, int]] = []
    for row, example in enumerate(examples):
        before = len(example.prompt) - 1
        for offset, token in enumerate(example.answer):
            text.append((token, row, before + offset))
            if token == tokenizer.box:
                box.append((row, before + offset))
    related = torch.zeros(len(box), nodes, dtype=torch.bool)
    for index, wanted in enumerate(chosen for example in examples for chosen in example.related):
        related[index, list(wanted)] = True
    if features is None:
        canvases = [example.canvas for example in examples]
        image = torch.from_numpy(np.stack([c for c in canvases if c is not None])).unsqueeze(1)
    else:
        image = features
    masks = torch.from_numpy(np.concatenate([example.masks for example in examples]).astype(np.float32))
    has_mask = ~masks.isnan().any(dim=2).any(dim=1)
    targets, rows, columns = torch.tensor(text).T
    box_rows, box_columns = torch.tensor(box, dtype=torch.long).reshape(-1, 2).T
    return Batch(
        input_ids=right_padded([[*e.prompt, *e.answer] for e in examples], tokenizer.pad),
        image=image,
        cached=features is not None,
        text_targets=targets,
        text_rows=rows,
        text_columns=columns,
        boxes=torch.from_numpy(np.concatenate([e.boxes for e in examples])),
        box_rows=box_rows,
        box_columns=box_columns,
        masks=masks.nan_to_num(),
        has_mask=has_mask,
        related=related,
        tokens=tokens,
    )
