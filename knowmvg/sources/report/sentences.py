"""The sentences of a section."""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowmvg.core.records import Section
from knowmvg.sources.report.sections import SectionSpan

_ABBREVIATIONS = frozenset(["dr", "mr", "mrs", "ms", "vs", "approx", "e.g", "i.e", "eg", "ie", "cf", "resp", "st"])
_SIDES = frozenset(["l", "r", "lt", "rt", "bilat"])  # "Rt. base", but not "on the R. No mass"
_BULLET = r"(?:\d{1,2}[.)](?=\s)|[-*>\u2022\u00b7\u2023\u25aa\u25e6\u2013\u2014](?=\s))"
_QUOTES = r"[)\"'\u201d\u2019]{0,3}"
_BREAK = re.compile(
    # A full stop before a space, or before a capital without one: "normal.No".
    rf"(?P<stop>(?<![.!?])[.!?]++{_QUOTES})(?=\s|$|(?<=[a-z)]\.)[A-Z])"
    r"|(?P<blank>\n[^\S\n]*\n)"
    rf"|(?P<item>\n(?=[^\S\n]*{_BULLET}))"
    r"|(?P<line>\n)"
)
_LEAD = re.compile(rf"\s*(?:{_BULLET}\s*)*")
_ANSWER = re.compile(r"\s{1,4}(?:none|no|negative|absent|yes|present)\b[^\w]", re.IGNORECASE)  # "Pneumothorax? None."
_SHORT_LINE = 60


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, ``[start, end)`` in characters of the report, without bullet or number."""

    section: Section
    start: int
    end: int


def split_sentences(text: str, span: SectionSpan) -> list[Sentence]:
    """The sentences of a section. Hard-wrapped lines are joined; bullets, blank lines and short lines end one."""
    sentences, start = [], span.start
    for match in _BREAK.finditer(text, span.start, span.end):
        if match["stop"] and _goes_on(text, start, match):
            continue
        if match["line"] and not _ends_line(text, start, match, span.end):
            continue
        sentences.append((start, match.end() if match["stop"] else match.start()))
        start = match.end()
    sentences.append((start, span.end))
    stripped = (_strip(text, first, last) for first, last in sentences)
    return [Sentence(span.section, first, last) for first, last in stripped if first < last]


def _goes_on(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a full stop ends no sentence: an item's number, an abbreviation, a question answered."""
    if "?" in match["stop"] and (_ANSWER.match(text, match.end()) or text[match.start() - 1] in " \t,;:("):
        return True  # "Effusion? None.", "opacity, ? scarring"
    before = text[max(start, match.start() - 12) : match.start()].split()
    if not before:
        return False
    word = before[-1].lower().lstrip("(")
    is_number = word.isdigit() and not text[start : match.start()].strip()[: -len(word)].strip()
    if word == "no":  # "No. 2", not "... : no."
        return text[match.end() : match.end() + 2].strip().isdigit()
    if word in _SIDES:
        return text[match.end() : match.end() + 2].strip().islower()
    return is_number or word in _ABBREVIATIONS


def _ends_line(text: str, start: int, match: re.Match[str], end: int) -> bool:
    """Whether a single line break ends a sentence: the line is short, the next one starts with a capital."""
    line_start = max(start, text.rfind("\n", start, match.start()) + 1)
    if text[max(match.start() - 2, start) : match.start()].rstrip().endswith(":"):
        return False
    following = text[match.end() : min(end, match.end() + 40)].lstrip()
    return match.start() - line_start < _SHORT_LINE and following[:1].isupper()


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    lead = _LEAD.match(text, start, end)
    first = lead.end() if lead else start
    return first, first + len(text[first:end].rstrip())
