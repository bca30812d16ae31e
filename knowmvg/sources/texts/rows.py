"""A row with a new report: phrases that move with their words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knowmvg.core.boxes import pairwise_iou
from knowmvg.core.records import normalised
from knowmvg.sources.manifest import PhraseRow, StudyRow, UnmentionedRow
from knowmvg.sources.texts.edits import Rewritten

SAME_PLACE = 0.5
"""IoU from which two boxes of one finding are the same place."""


def is_verbatim(row: StudyRow, phrase: PhraseRow) -> bool:
    """Whether the phrase's span holds its text; case and white space do not count, as in data sets' own phrases."""
    return phrase.span is not None and normalised(row.report[slice(*phrase.span)]) == normalised(phrase.text)


def moved(phrase: PhraseRow, report: Rewritten) -> PhraseRow:
    """The verbatim phrase in the new report: its new words in one line, and where they stand."""
    assert phrase.span is not None
    start, end = report.span(phrase.span)
    words = report.text[start:end]
    start += len(words) - len(words.lstrip())
    words = words.strip()
    span = (start, start + len(words)) if words else None
    return phrase.model_copy(update={"text": " ".join(words.split()), "span": span})


def with_report(row: StudyRow, report: str, phrases: Iterable[PhraseRow]) -> StudyRow:
    """The row with another report; boxed findings that it no longer mentions go to ``unmentioned``."""
    kept = tuple(phrases)
    lost = [phrase for phrase in row.phrases if phrase.boxes and phrase.finding and not _said(phrase, kept)]
    return row.model_copy(
        update={"report": report, "phrases": kept, "unmentioned": (*row.unmentioned, *_unmentioned(lost))}
    )


def with_all_boxes(phrase: PhraseRow, group: Sequence[PhraseRow]) -> PhraseRow:
    """The phrase with the boxes of all phrases of a group, each once, from the image's left to its right."""
    bits = all(len(one.mask_bits) == len(one.boxes) for one in group)
    pairs = sorted({(box, one.mask_bits[k] if bits else -1) for one in group for k, box in enumerate(one.boxes)})
    boxes, planes = tuple(box for box, _ in pairs), tuple(bit for _, bit in pairs)
    return phrase.model_copy(update={"boxes": boxes, "mask_bits": planes if bits else ()})


def _said(phrase: PhraseRow, kept: Sequence[PhraseRow]) -> bool:
    """Whether a phrase that is left names the same finding in the same place."""
    return any(other.finding == phrase.finding and _overlap(phrase, other) for other in kept)


def _overlap(one: PhraseRow, other: PhraseRow) -> bool:
    if one.boxes == other.boxes:
        return True
    if not other.boxes:
        return False
    return bool((pairwise_iou(one.boxes, other.boxes).max(axis=1) >= SAME_PLACE).all())


def _unmentioned(phrases: Iterable[PhraseRow]) -> list[UnmentionedRow]:
    """One row a finding and place, the first of those that name it."""
    rows: dict[tuple[object, ...], UnmentionedRow] = {}
    for phrase in phrases:
        assert phrase.finding is not None
        rows.setdefault(
            (phrase.finding, phrase.boxes),
            UnmentionedRow(
                finding=phrase.finding,
                side=phrase.side,
                zone=phrase.zone,
                boxes=phrase.boxes,
                mask_bits=phrase.mask_bits,
            ),
        )
    return list(rows.values())
