"""Phrases of the manifest from texts with boxes: what the words say of the place, where they stand in the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from knowmvg.core.records import Assertion, Phrase
from knowmvg.knowledge.patterns import split_words
from knowmvg.sources.datasets.wording import Reading, find_phrase, joined_report
from knowmvg.sources.manifest import Box, PhraseRow
from knowmvg.sources.report import read_report
from knowmvg.sources.report.location import name_place

_REMEMBERED = 4_096  # phrases; label sets repeat theirs


def phrase_row(
    text: str, finding: str | None, boxes: Iterable[Box], *, assertion: Assertion | None = None
) -> PhraseRow:
    """A phrase with its boxes from left to right; side, zone and, unless given, assertion are read from the words.

    Args:
        text: the phrase as the source has it.
        finding: the canonical finding, or ``None``.
        boxes: xyxy, as the source has them; none for a finding that is not placed.
        assertion: what the source says. By default what the words say, except that a phrase with boxes is on the
            image: where the words deny it, it is ``present`` all the same.

    Raises:
        ValueError: boxes with an assertion that is not placed on the image.
    """
    placed = tuple(sorted(boxes))
    reading = _read(text, finding)
    said = assertion or (Assertion.PRESENT if placed and not reading.assertion.placed else reading.assertion)
    if placed and not said.placed:
        raise ValueError(f"expected no boxes for a phrase that is {said}, got {len(placed)}")
    return PhraseRow(text=text, finding=finding, boxes=placed, assertion=said, side=reading.side, zone=reading.zone)


def only_finding(text: str) -> str | None:
    """The canonical finding that a phrase names, ``None`` where our reader sees none or several."""
    findings = {one.finding for one in _mentions(text)}
    return findings.pop() if len(findings) == 1 else None


def mentioned_findings(question: str, answer: str) -> frozenset[str]:
    """The canonical findings of a question and its answer that are on the image.

    What the answer itself denies is none, and a plain "no" denies what was asked.
    """
    denied = answer.strip().casefold().rstrip(".").split(",")[0] == "no"
    asked = () if denied else _mentions(question)
    found = {one.finding for one in asked} | {one.finding for one in _mentions(answer) if one.assertion.placed}
    return frozenset(name for name in found if name is not None)


def with_report(report: str, phrases: Sequence[PhraseRow]) -> tuple[str, tuple[PhraseRow, ...]]:
    """A report and the phrases with their characters and section in it, where they are there word for word.

    Where the set has no report (an empty text), the phrases joined stand for it.
    """
    texts = [phrase.text for phrase in phrases]
    report, places = (report, {text: find_phrase(report, text) for text in texts}) if report else joined_report(texts)
    update = {text: {"span": place.span, "section": place.section} for text, place in places.items()}
    return report, tuple(phrase.model_copy(update=update[phrase.text]) for phrase in phrases)


@lru_cache(maxsize=_REMEMBERED)
def _mentions(text: str) -> tuple[Phrase, ...]:
    return tuple(read_report(text).phrases)


@lru_cache(maxsize=_REMEMBERED)
def _read(text: str, finding: str | None) -> Reading:
    """What is said of the finding or of the only one; without any, the place that the words name (anatomy, say)."""
    named = _mentions(text)
    chosen = [one for one in named if one.finding == finding] or (named if len(named) == 1 else ())
    if chosen:
        return Reading(chosen[0].side, chosen[0].zone, chosen[0].assertion)
    return Reading() if named else Reading(*name_place(split_words(text)))
