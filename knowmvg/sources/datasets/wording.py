"""Phrases of a data set as phrases of a report: where they stand in it, and what they say of the place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from knowmvg.core.records import Assertion, Section, Side
from knowmvg.sources.report import read_report, split_sections
from knowmvg.sources.report.sections import SILENT

MAX_PHRASE = 10_000  # characters


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a phrase stands in a report: its characters, and the section that holds them."""

    span: tuple[int, int] | None = None
    section: Section = Section.UNHEADED


def find_phrase(report: str, phrase: str, section: Section | None = None) -> Standing:
    """The first place in the report's findings and impression that holds a phrase word for word.

    Case and white space do not count, words are whole. ``span`` is ``None`` for a phrase that is not there, or only in
    a section that gives no findings (indication, comparison, technique). With ``section`` it is sought there alone.
    """
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    if not words or len(phrase) > MAX_PHRASE:
        return Standing()
    sections = split_sections(report)
    for match in re.finditer(rf"(?<!\w){words}(?!\w)", report, re.IGNORECASE):
        holder = next((part.section for part in sections if part.start <= match.start() < part.end), None)
        if holder is not None and holder not in SILENT and section in (None, holder):
            return Standing(match.span(), holder)
    return Standing()


def joined_report(phrases: Iterable[str]) -> tuple[str, dict[str, Standing]]:
    """Phrases as sentences, each once, and where each stands: what takes the place of a report where there is none."""
    text, places = "", dict[str, Standing]()
    for phrase in dict.fromkeys(phrases):
        sentence = " ".join(phrase.split())
        start = len(text) + 1 if text else 0
        text = f"{text} {sentence}".strip()
        places[phrase] = Standing((start, len(text)))
        text += "" if text.endswith((".", "!", "?")) else "."
    return text, places


@dataclass(frozen=True, slots=True)
class Reading:
    """What a phrase says of its finding; of the assertions only those with a place on the image."""

    side: Side | None = None
    zone: str | None = None
    assertion: Assertion = Assertion.PRESENT


def read_phrase(phrase: str, finding: str | None) -> Reading:
    """Side, zone and assertion of a phrase that was drawn on the image, by our report reader.

    The mention of ``finding`` counts, or else the only mention. A phrase with boxes is on the image: where the reader
    takes it for absent or earlier, it is ``present`` all the same.
    """
    named = read_report(phrase).phrases
    of_finding = [mention for mention in named if mention.finding == finding]
    chosen = of_finding[0] if of_finding else named[0] if len(named) == 1 else None
    if chosen is None:
        return Reading()
    assertion = chosen.assertion if chosen.assertion.placed else Assertion.PRESENT
    return Reading(chosen.side, chosen.zone, assertion)
