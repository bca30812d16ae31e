"""What the controls that see no image share: boxes known beforehand, as shares of an image's width and height."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from knowmvg.core.boxes import FloatArray
from knowmvg.core.frames import Frame
from knowmvg.core.grounder import Query
from knowmvg.core.records import GroundedPhrase, Grounding, Phrase, Region, Study
from knowmvg.evaluation.samples import as_box
from knowmvg.evaluation.studies import Studies, each


class Prior(ABC):
    """A ``Grounder`` without eyes: a query's boxes come from what the training studies held."""

    name: str

    @abstractmethod
    def known(self, query: Query) -> tuple[FloatArray, float]:
        """Unit boxes ``[n, 4]`` for a query, and the score of each."""

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        """Boxes for the labels' placed phrases: a prior reads no report and is told them (``oracle`` in ``run``)."""
        placed = [[label.phrase for label in study.labels if label.phrase.assertion.placed] for study in studies]
        return self.ground_phrases(studies, [[Query(phrase) for phrase in phrases] for phrases in placed])

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        """The known boxes of each query; the usual number of them where the query names none."""
        return [self._answer(study, asked) for study, asked in zip(studies, queries, strict=True)]

    def _answer(self, study: Study, queries: Sequence[Query]) -> Grounding:
        frame = unit_frame(study)
        phrases = tuple(self._place(frame, query) for query in queries)
        return Grounding(image_size=study.image.size, phrases=phrases, model=self.name, study=study.id)

    def _place(self, frame: Frame, query: Query) -> GroundedPhrase:
        boxes, score = self.known(query)
        regions = tuple(Region(xyxy=as_box(box), score=score) for box in frame.from_unit(boxes))
        reason = None if regions else "no box was asked for"
        return GroundedPhrase(**query.phrase.model_dump(), boxes=regions, reason=reason)


def training_boxes(studies: Studies) -> Iterator[tuple[Phrase, FloatArray]]:
    """Each placed phrase of training studies with its unit boxes ``[n, 4]``, left to right.

    Raises ``ValueError`` where none of their phrases has a box.
    """
    empty = True
    for study in each(studies):
        frame = unit_frame(study)
        for label in study.labels:
            if label.phrase.assertion.placed and len(label.boxes):
                empty = False
                yield label.phrase, left_to_right(frame.to_unit(label.boxes))
    if empty:
        raise ValueError("expected training phrases with boxes, got none")


def left_to_right(boxes: FloatArray) -> FloatArray:
    """Boxes ``[n, 4]`` ordered by their left edges, then by their tops."""
    return boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]


def unit_frame(study: Study) -> Frame:
    """Stored pixels to shares of the image's width and height."""
    return Frame.squash(study.image.size, (1, 1))
