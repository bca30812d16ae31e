"""How well a model's maps point at the reference boxes: one pass, a map at a time, nothing kept of it but numbers.

The phrases are given (``phrase_given``). Two controls are scored beside the model: the class-mean box of the training
phrases drawn as a map, and a uniform map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from knowmvg.core.boxes import FloatArray
from knowmvg.core.errors import ModelError
from knowmvg.core.grounder import Grounder, MapGrounder
from knowmvg.core.maps import MapKind
from knowmvg.core.records import Study
from knowmvg.evaluation import metrics
from knowmvg.evaluation.controls import CLASS_MEAN_BOX, MeanBox
from knowmvg.evaluation.prior import unit_frame
from knowmvg.evaluation.protocol import Answer, answers_to
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.studies import Progress, Studies, batches, count, labels_of, patient_of

CLASS_MEAN, UNIFORM = "class-mean box drawn", "uniform map"
TWO_CLASS = "miou_2cls@0.5"
SCORES = (*metrics.HEATMAP_METRICS, TWO_CLASS)
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class MapSample:
    """The scores of one phrase's map by name, NaN or infinite where undefined; ``row`` says whose map it is."""

    row: str
    study: str
    patient: str
    index: int
    finding: str
    scores: dict[str, float]


def score_maps(
    grounder: Grounder,
    kind: MapKind,
    studies: Studies,
    *,
    training_studies: Studies | None,
    name: str = "model",
    batch_size: int = 16,
    progress: Progress | None = None,
) -> list[MapSample]:
    """Ask for the boxed phrases of labelled studies and score the map of each, those of the controls beside it.

    Args:
        grounder: the model.
        kind: which of its maps.
        studies: the test studies; each is in memory only while its batch is asked.
        training_studies: what the class-mean box is learned from; ``None`` leaves that row out.
        name: the model's row.
        batch_size: studies asked at once.
        progress: told the studies done after each batch.

    Returns:
        For each phrase the model's sample and those of the controls. A phrase without a map scores 0 everywhere.

    Raises:
        ModelError: the model has no map of this kind, or breaks the ``Grounder`` contract.
    """
    known = grounder.maps if isinstance(grounder, MapGrounder) else ()
    if not isinstance(grounder, MapGrounder) or kind not in known:
        has = ", ".join(known) or "no map"
        raise ModelError(f"a model with maps of the kind {kind}", f"one with {has}", "Choose another kind or model.")
    mapped = grounder.with_maps()
    prior = None if training_studies is None else MeanBox.fit(labels_of(training_studies), CLASS_MEAN_BOX)
    found: list[MapSample] = []
    done = 0
    for batch in batches(studies, batch_size):
        for study, answers in zip(batch, answers_to(Protocol.PHRASE_GIVEN, mapped, batch), strict=True):
            for answer in answers:
                found += _scored(study, answer, kind, prior, name)
        done += len(batch)
        if progress is not None:
            progress(f"maps: {kind}", done, count(studies))
    return found


def _scored(study: Study, answer: Answer, kind: MapKind, prior: MeanBox | None, name: str) -> Iterator[MapSample]:
    width, height = study.image.size
    label = study.labels[answer.index]
    maps: list[tuple[str, FloatArray | None]] = [(name, _of_model(answer, kind))]
    if prior is not None:
        boxes = unit_frame(study).from_unit(prior.known(answer.query)[0])
        maps.append((CLASS_MEAN, metrics.region_of(boxes, (width, height)).astype(np.float64)))
    maps.append((UNIFORM, np.full((height, width), _HALF)))
    for row, one in maps:
        scores = scores_of(one, label.boxes, (width, height))
        finding = label.phrase.finding or ""
        yield MapSample(row, study.id, patient_of(study), answer.index, finding, scores)


def _of_model(answer: Answer, kind: MapKind) -> FloatArray | None:
    evidence = answer.phrase.evidence
    found = [one for one in evidence.maps if one.kind is kind] if evidence is not None else []
    return found[0].on_image().astype(np.float64) if found else None


def scores_of(one: FloatArray | None, boxes: FloatArray, size: tuple[int, int]) -> dict[str, float]:
    """``metrics.heatmap_scores`` and ``miou_2cls`` of the map above 0.5, of a map ``[H, W]`` or ``None`` for none."""
    scores = metrics.heatmap_scores(one, boxes, size)
    region = metrics.region_of(boxes, size)
    scores[TWO_CLASS] = 0.0 if one is None else metrics.miou_2cls(one > _HALF, region)
    return {name: scores[name] for name in SCORES}


def of_row(samples: Sequence[MapSample], row: str) -> list[MapSample]:
    """The samples of one row, in the order of the phrases."""
    return [sample for sample in samples if sample.row == row]
