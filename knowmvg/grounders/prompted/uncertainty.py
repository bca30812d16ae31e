"""How far the hypotheses of a box differ: uMedGround's uncertainty, box by box and in pixels of the stored image."""

from __future__ import annotations

import torch
from torch import Tensor

from knowmvg.core.frames import Frame
from knowmvg.losses.hypotheses import agreement
from knowmvg.nn.box_decoder import Boxes


def box_scores(boxes: Boxes, score: str) -> Tensor:
    """Scores ``[P]`` in ``[0, 1]``: ``head`` is the decoder's own, ``agreement`` that of its hypotheses."""
    if score == "agreement" and boxes.hypotheses is not None:
        return agreement(boxes.hypotheses)
    return boxes.score.sigmoid()


def box_deviations(boxes: Boxes, frame: Frame) -> Tensor | None:
    """Standard deviation ``[P, 4]`` of the edges x1, y1, x2, y2 in stored pixels, ``None`` of one hypothesis.

    It is the root of the unbiased variance over the hypotheses of one box; the lineage's code averaged over phrases as
    well where there were several.
    """
    if boxes.hypotheses is None:
        return None
    (width, height), (across, down) = frame.canvas, frame.scale
    pixels = torch.tensor([width / across, height / down] * 2, dtype=torch.float64)
    return boxes.hypotheses.double().cpu().std(dim=1) * pixels
