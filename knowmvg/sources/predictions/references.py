"""The reference boxes of a data set folder as if a model had answered them: for export, and as training targets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from knowmvg.core.boxtext.reading import Draft
from knowmvg.sources.manifest import StudyRow, read_rows
from knowmvg.sources.predictions.answers import Answer, Listed, Listing, Predictions
from knowmvg.sources.predictions.coco import coco_listing
from knowmvg.sources.splits.empty import no_studies


def listing_of(folder: Path, split: str | None = None) -> Listing:
    """The studies of a data set folder, of one split if given, or of a COCO file, which has no splits.

    Raises ``ManifestError`` where there is none.
    """
    if split is None and folder.is_file():
        return coco_listing(folder)
    rows = list(read_rows(folder, split))
    if not rows:
        raise no_studies(folder, split)
    return Listing(Listed(row.id, row.image, (row.width, row.height)) for row in rows)


def references(folder: Path, split: str | None = None) -> Predictions:
    """The placed phrases with their boxes, one answer a phrase. A text that occurs twice in a study is one phrase."""
    return Predictions(tuple(_answers(read_rows(folder, split))))


def _answers(rows: Iterable[StudyRow]) -> Iterable[Answer]:
    for row in rows:
        draft = Draft()
        for phrase in row.phrases:
            if phrase.assertion.placed:
                draft.name(phrase.text)
                for box in phrase.boxes:
                    draft.add(phrase.text, box)
        for item in draft.done(says_none=True).items:
            yield Answer(row.id, (item,), (), item.phrase)
