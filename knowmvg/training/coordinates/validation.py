"""How well phrases of the validation studies are placed, phrases given, and what the right image is worth to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from knowmvg.core import boxes as bx
from knowmvg.core.grounder import Query
from knowmvg.core.records import Study
from knowmvg.grounders.backbones.load import SpeakingBackbone
from knowmvg.grounders.coordinates.config import CoordinatesConfig
from knowmvg.grounders.coordinates.grounder import CoordinateGrounder
from knowmvg.grounders.coordinates.speaker import BackboneSpeaker
from knowmvg.grounders.coordinates.tuning import projection_of, seen
from knowmvg.sources.manifest import StudyRow, load_study

_Placed = tuple[str, bx.FloatArray, bx.FloatArray]
"""Study, boxes of the answer and of the reference, in shares of the image."""


class TrainingSpeaker(BackboneSpeaker):
    """The model in training: its projection may be more precise than the rest."""

    @torch.inference_mode()
    def look(self, canvases: NDArray[np.float32]) -> Tensor:
        """Image tokens ``[B, N, D]`` behind the projection."""
        projection = projection_of(self.loaded.vlm)
        tokens = seen(self.loaded, self.loaded.pictures(canvases))
        projected: Tensor = projection(tokens.to(next(projection.parameters()).dtype))
        return projected


def validate(
    loaded: SpeakingBackbone, config: CoordinatesConfig, folder: Path, rows: Sequence[StudyRow]
) -> dict[str, float]:
    """Figures of the placed phrases of studies, their number of boxes not told.

    ``miou`` is the mean over phrases of the greatest mean overlap of boxes in pairs, a box too many or too few counting
    0; ``shuffled`` the same where each answer is held against the boxes of another study's phrase about the same
    finding, which is what knowing the findings' usual places is worth; ``valid`` the share of answers that parse.
    """
    loaded.vlm.eval()  # a stage that is validated on its way has dropout
    grounder = CoordinateGrounder(TrainingSpeaker(loaded, projection=True), config, "validation")
    overlaps, valid, answered = list[float](), list[bool](), dict[str | None, list[_Placed]]()
    for start in range(0, len(rows), grounder.batch_size):
        studies = [load_study(folder, row) for row in rows[start : start + grounder.batch_size]]
        labels = [[label for label in study.labels if len(label.boxes)] for study in studies]
        answers = grounder.answers(studies, [[Query(label.phrase) for label in row] for row in labels])
        for study, asked, said in zip(studies, labels, answers, strict=True):
            for label, answer in zip(asked, said, strict=True):
                assert answer is not None  # boxes were asked for
                drawn, truth = _shares(answer.boxes, study), _shares(label.boxes, study)
                overlaps.append(overlap(drawn, truth))
                valid.append(answer.valid)
                answered.setdefault(label.phrase.finding, []).append((study.id, drawn, truth))
    return {
        "miou": _mean(overlaps),
        "shuffled": _mean([value for found in answered.values() for value in _shuffled(found)]),
        "valid": _mean(valid),
    }


def overlap(drawn: ArrayLike, truth: ArrayLike) -> float:
    """The overlaps (IoU) of boxes in the pairs that fit best, added up and divided by the greater number of boxes."""
    found = bx.pairwise_iou(drawn, truth)
    if not found.size:
        return 0.0
    return float(found[linear_sum_assignment(found, maximize=True)].sum() / max(found.shape))


def _shares(boxes: ArrayLike, study: Study) -> bx.FloatArray:
    """Boxes ``[n, 4]`` of stored pixels in shares of the image."""
    shares: bx.FloatArray = bx.as_boxes(boxes) / np.tile(study.image.size, 2)
    return shares


def _shuffled(placed: Sequence[_Placed]) -> list[float]:
    """The overlap of each answer with the next reference of the same finding that is another study's."""
    values = []
    for place, (study, drawn, _) in enumerate(placed):
        others = [truth for other, _, truth in (*placed[place + 1 :], *placed[:place]) if other != study]
        values += [overlap(drawn, others[0])] if others else []
    return values


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0
