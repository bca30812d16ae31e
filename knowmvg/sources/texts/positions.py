"""Reports and phrases without words for the place.

ChestX-ray8 as the lineage uses it says the side of every box in the text ("position: left"), so that words alone tell
where to look; method.md fact 5 counts 788 of 788. Without them a model has to find the finding on the image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from knowmvg.core.records import Section, normalised
from knowmvg.knowledge.patterns import Word, split_words
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.report.sections import SectionSpan, split_sections
from knowmvg.sources.report.sentences import split_sentences
from knowmvg.sources.texts.edits import Edit, Rewritten, rewrite
from knowmvg.sources.texts.places import place_stretches
from knowmvg.sources.texts.rows import is_verbatim, moved, with_all_boxes, with_report

_PASSES = 3
_WORD = re.compile(r"\w")
_BARE = frozenset(["lung", "lungs"])
"""What is left of a phrase that named a place and no finding."""


def without_positions(row: StudyRow) -> StudyRow:
    """The row without side and zone: in no section of the report, in no phrase, and not in the phrases' fields.

    Words of place that are part of a finding's name stay. A phrase that held nothing else gets its finding's name, and
    is left out if it has none. Phrases that now read alike have all boxes of each other: "left effusion" and "right
    effusion" are both "effusion". What is not mentioned keeps its side and zone: it is no input.
    """
    for _ in range(_PASSES):
        report = _stripped(row.report)
        phrases = []
        for phrase in row.phrases:
            if is_verbatim(row, phrase):
                phrases.append(moved(phrase, report))
            else:
                text = _stripped(phrase.text).text.strip(" ,;:.")
                phrases.append(phrase.model_copy(update={"text": text, "span": None}))
        row = row.model_copy(update={"report": report.text, "phrases": tuple(phrases)})
        if not report.edits:
            break
    return with_report(row, row.report, _alike(list(filter(None, map(_unplaced, row.phrases)))))


def _alike(phrases: Sequence[PhraseRow]) -> Iterator[PhraseRow]:
    groups: dict[tuple[object, ...], list[PhraseRow]] = {}
    for phrase in phrases:
        groups.setdefault((normalised(phrase.text), phrase.assertion), []).append(phrase)
    for phrase in phrases:
        group = groups[normalised(phrase.text), phrase.assertion]
        yield with_all_boxes(phrase, group) if len(group) > 1 else phrase


def without_place_words(text: str) -> str:
    """A text without its words for side and zone."""
    for _ in range(_PASSES):
        text = _stripped(text).text
    return text


def _unplaced(phrase: PhraseRow) -> PhraseRow | None:
    bare = phrase.text.casefold() in _BARE or not _WORD.search(phrase.text)
    text = phrase.finding if bare else phrase.text
    if not text:
        return None
    span = phrase.span if text == phrase.text else None
    return phrase.model_copy(update={"text": text, "span": span, "side": None, "zone": None})


def _stripped(text: str) -> Rewritten:
    return rewrite(text, [edit for start, end in _sentences(text) for edit in _edits(text, start, end)])


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    sections = split_sections(text) or (SectionSpan(Section.UNHEADED, 0, len(text)),)
    for section in sections:
        for sentence in split_sentences(text, section):
            yield sentence.start, sentence.end


def _edits(text: str, start: int, end: int) -> list[Edit]:
    words = split_words(text, start, end)
    stretches = place_stretches(words)
    if not stretches:
        return []
    gone = {k for stretch in stretches for k in range(stretch.first, stretch.last)}
    if not any(stretch.instead for stretch in stretches) and all(
        word.is_mark for k, word in enumerate(words) if k not in gone
    ):
        return [Edit(start, end, "")]  # nothing is left of the sentence
    edits: list[Edit] = []
    for stretch in stretches:
        edit = _edit(text, start, words, stretch.first, stretch.last, stretch.instead)
        if edits and edit.start < edits[-1].end:
            edit = Edit(edits[-1].end, max(edit.end, edits[-1].end), edit.text)
        article = _article(words, stretch.first, stretch.last, stretch.instead)
        if article is not None and (not edits or article.start >= edits[-1].end):
            edits.append(article)
        edits.append(edit)
    return edits


def _edit(text: str, start: int, words: list[Word], first: int, last: int, instead: str) -> Edit:
    """The characters of a stretch with the white space and the comma that it leaves over."""
    begin, end = words[first].start, words[last - 1].end
    follows = words[last].raw if last < len(words) else ""
    precedes = words[first - 1].raw if first else ""
    if instead:
        return Edit(begin, end, instead.capitalize() if begin == start else instead)
    if precedes in ("", ":") or begin == start:
        if follows == ",":
            end, last = words[last].end, last + 1
        while end < len(text) and text[end] in " \t":
            end += 1
        if begin == start and last < len(words) and words[last].start == end:
            return Edit(begin, end + 1, text[end].upper())
        return Edit(begin, end, "")
    if precedes == "," and last in (len(words), *_marks(words, last)):
        begin = words[first - 1].start
    while begin > start and text[begin - 1] in " \t":
        begin -= 1
    return Edit(begin, end, "")


def _marks(words: list[Word], last: int) -> tuple[int, ...]:
    return (last,) if last < len(words) and words[last].is_mark else ()


def _article(words: list[Word], first: int, last: int, instead: str) -> Edit | None:
    """The article before a stretch, if the word that now follows wants the other one."""
    if first == 0 or words[first - 1].raw not in ("a", "an"):
        return None
    word = words[first - 1]
    following = instead or (words[last].raw if last < len(words) else "")
    fitting = "an" if following[:1] in tuple("aeiou") else "a"
    if not following or fitting == word.raw:
        return None
    return Edit(word.start, word.end, fitting)
