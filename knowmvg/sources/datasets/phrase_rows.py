"""Phrases of the manifest from a text with boxes: what the words say of the place, and where they stand in the report."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from knowmvg.core.records import Assertion
from knowmvg.sources.datasets.wording import Reading, find_phrase, read_phrase
from knowmvg.sources.manifest import Box, PhraseRow
from knowmvg.sources.report import read_report

_REMEMBERED = 4_096  # phrases; label sets repeat theirs


def phrase_row(
    text: str, finding: str | None, boxes: Iterable[Box], *, assertion: Assertion | None = None
) -> PhraseRow:
    """A phrase with its boxes from left to right; side, zone and, unless given, assertion are read from the words.

    Args:
        text: the phrase as the source has it.
        finding: the canonical finding, or ``None``.
        boxes: xyxy, as the source has them; none for a finding that is not placed.
        assertion: what the source says. Boxes of a finding that is not placed are a contradiction: ``ValueError``.
    """
    placed = tuple(sorted(boxes))
    reading = _placed(text, finding) if placed else _unplaced(text, finding)
    said = reading.assertion if assertion is None else assertion
    if placed and not said.placed:
        raise ValueError(f"expected no boxes for a phrase that is {said}, got {len(placed)}")
    return PhraseRow(text=text, finding=finding, boxes=placed, assertion=said, side=reading.side, zone=reading.zone)


def stand_in(report: str, phrases: Iterable[PhraseRow]) -> tuple[PhraseRow, ...]:
    """Phrases with their characters and section in a report that holds them word for word."""
    found = []
    for phrase in phrases:
        standing = find_phrase(report, phrase.text)
        found.append(phrase.model_copy(update={"span": standing.span, "section": standing.section}))
    return tuple(found)


@lru_cache(maxsize=_REMEMBERED)
def _placed(text: str, finding: str | None) -> Reading:
    return read_phrase(text, finding)


@lru_cache(maxsize=_REMEMBERED)
def _unplaced(text: str, finding: str | None) -> Reading:
    """As ``read_phrase`` for a phrase without boxes, which may well be absent or earlier."""
    named = read_report(text).phrases
    chosen = [one for one in named if one.finding == finding] or (named if len(named) == 1 else ())
    return Reading(chosen[0].side, chosen[0].zone, chosen[0].assertion) if chosen else Reading()
