"""The sections of a report: where findings, impression, indication, comparison and technique start and end."""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowmvg.core.records import Section
from knowmvg.knowledge.language import load_language

SILENT = (Section.INDICATION, Section.COMPARISON, Section.TECHNIQUE)

# A heading may be decorated: "## Findings", "**FINDINGS:**", "[IMPRESSION]", "1) CONCLUSION -".
_BEFORE = r"[ \t]{0,12}(?:\d{1,2}[.)][ \t]{0,4})?[#*_<\[=]{0,6}[ \t]{0,4}"
_AFTER = r"[ \t]{0,4}[*_>\]=]{0,6}"


@dataclass(frozen=True, slots=True)
class SectionSpan:
    """The body of a section, ``[start, end)`` in characters of the report, without its heading."""

    section: Section
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Heading:
    section: Section
    start: int
    end: int


def _compile() -> tuple[dict[str, Section], tuple[re.Pattern[str], ...]]:
    names = {name: section for section, names in load_language().headings.items() for name in names}
    words = "|".join(re.escape(name) for name in sorted(names, key=lambda name: -len(name))).replace(r"\ ", "[ ]{1,4}")
    line = re.compile(
        rf"^{_BEFORE}(?P<name>{words}){_AFTER}[ \t]{{0,4}}(?:[:\-–—][*_]{{0,3}}(?!\w)|[:]|$)",
        re.IGNORECASE | re.MULTILINE,
    )
    inline = re.compile(rf"(?<=[.;:!?\]] )[ \t]{{0,8}}(?P<name>{words}){_AFTER}:", re.IGNORECASE)
    capitals = re.compile(rf"(?<=\s)(?P<name>{words.upper()}){_AFTER}:")
    return names, (capitals, inline, line)


_NAMES, _PATTERNS = _compile()


def split_sections(text: str) -> tuple[SectionSpan, ...]:
    """The sections of a report in order; text before the first heading is ``unheaded``.

    Where a report has no findings heading, an empty line ends the indication, comparison and technique sections: what
    follows them is the report's body.
    """
    headings = _headings(text)
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


def _headings(text: str) -> list[_Heading]:
    found = {}
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            name = " ".join(match["name"].lower().split())
            found[match.start("name")] = _Heading(_NAMES[name], match.start(), match.end())
    return [found[place] for place in sorted(found)]


def _paragraph_end(text: str, start: int, end: int) -> int:
    content = re.compile(r"\S").search(text, start, end)
    if content is None:
        return end
    blank = re.compile(r"\n[ \t]*\n").search(text, content.start(), end)
    return blank.start() if blank else end
