"""A report of nothing but its diagnostic phrases."""

from __future__ import annotations

from collections.abc import Iterator

from knowmvg.core.records import Assertion, Section
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.report import read_report
from knowmvg.sources.texts.rows import with_report
from knowmvg.sources.texts.templates import templates


def only_phrases(row: StudyRow) -> StudyRow | None:
    """The row whose report is its placed phrases, one a sentence; the rest of the words is gone.

    Absent, resolved and prior phrases are left out: without their "no" they would state what they deny. A possible one
    whose own words do not say so follows the word "Possible".

    Returns:
        ``None`` for a row without a placed phrase.
    """
    text, phrases = "", []
    for phrase in row.phrases:
        if not phrase.assertion.placed:
            continue
        words = phrase.text[0].upper() + phrase.text[1:]
        lead = f"{templates().possible} " if _needs_doubt(phrase) else ""
        if lead:
            words = phrase.text if phrase.text.split()[0].isupper() else phrase.text[0].lower() + phrase.text[1:]
        start = len(text) + (1 if text else 0) + len(lead)
        text += f"{' ' if text else ''}{lead}{words}."
        span = (start, start + len(words))
        phrases.append(phrase.model_copy(update={"text": words, "span": span, "section": Section.UNHEADED}))
    return with_report(row, text, phrases) if phrases else None


def one_each(row: StudyRow) -> Iterator[StudyRow]:
    """One row a placed phrase, as MS-CXR and the lineage have them; ``#1``, ``#2`` after the study's identifier."""
    whole = only_phrases(row)
    if whole is None:
        return
    for number, phrase in enumerate(whole.phrases, 1):
        alone = only_phrases(whole.model_copy(update={"phrases": (phrase,)}))
        assert alone is not None
        rest = with_report(whole, alone.report, alone.phrases)
        yield rest.model_copy(update={"id": f"{row.id}#{number}"})


def _needs_doubt(phrase: PhraseRow) -> bool:
    if phrase.assertion is not Assertion.POSSIBLE:
        return False
    return not any(read.assertion is Assertion.POSSIBLE for read in read_report(phrase.text).phrases)
