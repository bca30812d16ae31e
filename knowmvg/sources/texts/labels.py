"""Reports for data sets that have labels and boxes and no report: template sentences that say what the labels say."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from knowmvg.core.boxes import as_boxes
from knowmvg.core.records import Assertion, Section, Side
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.phantom.report.sentences import fill
from knowmvg.sources.phantom.report.written import Draft
from knowmvg.sources.texts.rows import with_all_boxes, with_report
from knowmvg.sources.texts.templates import dice_of, frames, is_sided, noun_phrase, templates

_FRAMES = {Assertion.PRESENT: "present plain", Assertion.POSSIBLE: "possible", Assertion.ABSENT: "absent",
           Assertion.RESOLVED: "resolved", Assertion.PRIOR: "prior"}  # fmt: skip
_MIDLINE = 0.25
"""A box with at least this share of its width on either side of the image's middle lies on no side."""


class Positions(StrEnum):
    """Words for side and zone.

    ``keep`` leaves them as they are: a report made from labels says the places that the labels have. ``say`` lets such
    a report also say the side on which a label's boxes lie. ``drop`` takes them out of every text.
    """

    KEEP = "keep"
    SAY = "say"
    DROP = "drop"


def told_labels(row: StudyRow, positions: Positions) -> tuple[StudyRow, bool]:
    """The row as a report that is made from its labels may use it, and whether the report may say places."""
    return (with_sides(row) if positions is Positions.SAY else row), positions is not Positions.DROP


def has_words(row: StudyRow) -> bool:
    """Whether the row has a report."""
    return any(character.isalnum() for character in row.report)


def without_report(row: StudyRow) -> StudyRow:
    """The row with its labels alone: phrases without a finding keep their words, none has a place in a text."""
    phrases = tuple(phrase.model_copy(update={"span": None}) for phrase in row.phrases)
    return row.model_copy(update={"report": "", "phrases": phrases})


def side_of_boxes(boxes: Sequence[tuple[float, float, float, float]], width: float) -> Side | None:
    """The patient's side on which boxes lie: on a frontal radiograph the patient's right is at the image's left.

    Args:
        boxes: xyxy in pixels of the stored image.
        width: of the image in pixels.

    Returns:
        ``None`` without boxes, and for a box across the middle.
    """
    array = as_boxes(boxes)
    if len(array) == 0:
        return None
    left = np.clip((width / 2 - array[:, 0]) / np.maximum(array[:, 2] - array[:, 0], 1e-9), 0, 1)
    if ((left >= _MIDLINE) & (left <= 1 - _MIDLINE)).any():
        return None
    sides = {Side.RIGHT if share > 0.5 else Side.LEFT for share in left}
    return sides.pop() if len(sides) == 1 else Side.BILATERAL


def with_sides(row: StudyRow) -> StudyRow:
    """The row whose boxed phrases have a side, by their boxes where they had none.

    This is what the lineage's ChestX-ray8 does, and it gives the place away: every such side comes from the answer.
    """
    phrases = []
    for phrase in row.phrases:
        side = phrase.side
        if side is None and phrase.boxes and phrase.finding is not None and is_sided(phrase.finding):
            side = side_of_boxes(phrase.boxes, row.width)
        phrases.append(phrase.model_copy(update={"side": side}))
    return row.model_copy(update={"phrases": tuple(phrases)})


def merged_labels(row: StudyRow, *, places: bool) -> list[PhraseRow]:
    """One phrase a finding, assertion and (if ``places`` are told) place, with the boxes of all that say the same.

    Boxes are ordered from the image's left to its right; phrases without a finding keep their own words.
    """
    groups: dict[tuple[object, ...], list[PhraseRow]] = {}
    for phrase in row.phrases:
        place = (phrase.side, phrase.zone) if places else ()
        groups.setdefault((phrase.finding or phrase.text, phrase.assertion, *place), []).append(phrase)
    return [_merged(group) for group in groups.values()]


def _merged(group: Sequence[PhraseRow]) -> PhraseRow:
    sides = {phrase.side for phrase in group}
    return with_all_boxes(group[0], group).model_copy(update={"side": sides.pop() if len(sides) == 1 else None})


def label_report(row: StudyRow, *, places: bool, seed: int = 0) -> StudyRow:
    """The row with a report that names each label once, in random order, and claims nothing else.

    Args:
        row: its phrases are the labels.
        places: whether the report says the phrases' side and zone.
        seed: of wordings and order, together with the row's identifier.
    """
    dice, draft = dice_of(seed, row.id, "report"), Draft()
    labels = merged_labels(row, places=places)
    draft.write("FINDINGS: ")
    if not labels:
        return with_report(row, f"{''.join(draft.parts)}{templates().none}", ())
    for place, index in enumerate(dice.shuffled(range(len(labels)))):
        label = labels[index]
        side, zone = (label.side, label.zone) if places else (None, None)
        noun = noun_phrase(label.finding or label.text, side, zone, label.assertion, index, dice)
        if place:
            draft.write(" ")
        joins = "denials" if label.assertion is Assertion.ABSENT else "joins"
        draft.sentence(fill(dice.pick(frames(_FRAMES[label.assertion])), [noun], joins, dice), Section.FINDINGS)
    written = draft.report()
    phrases = [
        labels[phrase.index].model_copy(
            update={"text": phrase.text, "span": phrase.span, "section": phrase.section,
                    "side": phrase.side, "zone": phrase.zone}
        )
        for phrase in written.phrases
        if phrase.index is not None
    ]  # fmt: skip
    return with_report(row, written.text, phrases)
