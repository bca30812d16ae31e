"""The sections of a report: where findings, impression, indication, comparison and technique start and end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from knowmvg.core.records import Section
from knowmvg.knowledge.language import load_language

SILENT = (Section.INDICATION, Section.COMPARISON, Section.TECHNIQUE)

_SPACE = r"[^\S\n]"
_FULL_STOPS = ".;:!?]"


@dataclass(frozen=True, slots=True)
class SectionSpan:
    """The body of a section, ``[start, end)`` in characters of the report, without its heading."""

    section: Section
    start: int
    end: int


@cache
def _heading_patterns() -> tuple[dict[str, Section], re.Pattern[str], re.Pattern[str]]:
    """Heading names to sections; the pattern of a heading at the start of a line and that of one within a line.

    A heading may be decorated: "## Findings", "**FINDINGS:**", "[IMPRESSION]", "3) CONCLUSION -". All repeats are
    bounded, so that no text takes more than linear time.
    """
    names = {name: section for section, names in load_language().headings.items() for name in names}
    words = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)).replace(r"\ ", _SPACE + "{1,4}")
    name = rf"(?P<name>(?i:{words}))"
    before = rf"{_SPACE}{{0,12}}(?:\d{{1,2}}[.)]{_SPACE}{{0,4}})?[#*_<\[=]{{0,6}}{_SPACE}{{0,4}}"
    after = rf"{_SPACE}{{0,4}}[*_>\]=]{{0,6}}{_SPACE}{{0,4}}"
    mark = r"(?P<mark>:[*_]{0,3}|[-\u2013\u2014](?!\w))"
    line = re.compile(
        rf"^{before}{name}(?:{after}{mark}|{after}$|[*_>\]=]{{0,6}}{_SPACE}{{1,4}}(?=\S{{0,20}}[a-z]))", re.MULTILINE
    )
    inline = re.compile(rf"(?<=\s){name}{after}:")
    return names, line, inline


@dataclass(frozen=True, slots=True)
class _Heading:
    section: Section
    start: int
    end: int


def split_sections(text: str) -> tuple[SectionSpan, ...]:
    """The sections of a report in order; text before the first heading is ``unheaded``.

    Where a report has no findings heading, an empty line ends the indication, comparison and technique sections: what
    follows them is the report's body.
    """
    headings = _without_overlap(_headings(text))
    bounds = [_Heading(Section.UNHEADED, 0, 0), *headings]
    ends = [heading.start for heading in headings] + [len(text)]
    has_findings = any(heading.section is Section.FINDINGS for heading in headings)
    spans: list[SectionSpan] = []
    for heading, end in zip(bounds, ends, strict=True):
        body_end = end
        if heading.section in SILENT and not has_findings:
            body_end = _paragraph_end(text, heading.end, end)
        spans.append(SectionSpan(heading.section, heading.end, body_end))
        spans.append(SectionSpan(Section.UNHEADED, body_end, end))
    return tuple(span for span in spans if text[span.start : span.end].strip())


def _without_overlap(headings: Iterable[_Heading]) -> list[_Heading]:
    kept: list[_Heading] = []
    for heading in sorted(headings, key=lambda heading: (heading.start, -heading.end)):
        if not kept or heading.start >= kept[-1].end:
            kept.append(heading)
    return kept


def _headings(text: str) -> Iterator[_Heading]:
    names, at_line_start, within_line = _heading_patterns()
    for pattern, is_heading in ((at_line_start, _is_line_heading), (within_line, _is_inline_heading)):
        for match in pattern.finditer(text):
            section = names.get(" ".join(match["name"].lower().split()))
            if section is not None and is_heading(text, match):
                yield _Heading(section, match.start(), match.end())


def _is_line_heading(text: str, match: re.Match[str]) -> bool:
    """A name with a mark; without one it must stand alone with a capital, or in capitals before other text."""
    if match["mark"]:
        return True
    alone = not text[match.end() : match.end() + 1].strip()
    return match["name"][0].isupper() if alone else match["name"].isupper()


def _is_inline_heading(text: str, match: re.Match[str]) -> bool:
    """A capital, or the end of a sentence before it."""
    return match["name"][0].isupper() or text[max(match.start() - 2, 0)] in _FULL_STOPS


def _paragraph_end(text: str, start: int, end: int) -> int:
    content = re.compile(r"\S").search(text, start, end)
    if content is None:
        return end
    blank = re.compile(rf"\n{_SPACE}*\n").search(text, content.start(), end)
    return blank.start() if blank else end
