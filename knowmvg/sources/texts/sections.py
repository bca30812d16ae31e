"""A report cut down to one of its sections."""

from __future__ import annotations

from knowmvg.core.records import Section
from knowmvg.sources.datasets.wording import find_phrase
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.report import read_report
from knowmvg.sources.report.sections import split_sections
from knowmvg.sources.texts.edits import Edit, rewrite
from knowmvg.sources.texts.rows import is_verbatim, moved, with_report


def keep_section(row: StudyRow, section: Section) -> StudyRow | None:
    """The row with the findings or the impression alone, without heading, and the phrases that stand there.

    A placed phrase of another section that stands here too, word for word, and is no less there, moves here. A phrase
    that is not verbatim in the report stays if its row says this section, or none. Boxed findings that are only in the
    rest of the report become unmentioned ones.

    Returns:
        ``None`` for a report without the section.
    """
    kept = [span for span in split_sections(row.report) if span.section is section]
    if not kept:
        return None
    edits, cursor = [], 0
    for span in kept:
        words = row.report[span.start : span.end]
        start = span.start + len(words) - len(words.lstrip())
        edits.append(Edit(cursor, start, "\n" if cursor else ""))
        cursor = span.start + len(words.rstrip())
    report = rewrite(row.report, [*edits, Edit(cursor, len(row.report), "")])
    bounds = [(span.start, span.end) for span in kept]
    phrases = []
    for phrase in row.phrases:
        if not is_verbatim(row, phrase):
            if phrase.section in (section, Section.UNHEADED):
                phrases.append(phrase.model_copy(update={"span": None}))
        elif phrase.span is not None and any(a <= phrase.span[0] and phrase.span[1] <= b for a, b in bounds):
            phrases.append(moved(phrase, report))
        elif (again := _said_again(row, phrase, section)) is not None:
            phrases.append(moved(again, report))
    return with_report(row, report.text, phrases)


def _said_again(row: StudyRow, phrase: PhraseRow, section: Section) -> PhraseRow | None:
    """The phrase where a section repeats its words, if it does not deny them and no phrase of the row is there."""
    span = find_phrase(row.report, phrase.text, section).span if phrase.assertion.placed else None
    if span is None or any(_meet(span, other.span) for other in row.phrases):
        return None
    read = [one for one in read_report(row.report).phrases if _meet(span, one.span)]
    if any(not one.assertion.placed for one in read):
        return None
    return phrase.model_copy(update={"span": span, "section": section})


def _meet(one: tuple[int, int], other: tuple[int, int] | None) -> bool:
    return other is not None and one[0] < other[1] and other[0] < one[1]
