"""Question and answer in place of the report, as in Medical-Diff-VQA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowmvg.core.records import Assertion, Section
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.texts.labels import merged_labels
from knowmvg.sources.texts.rows import with_report
from knowmvg.sources.texts.templates import dice_of, templates

_ASKED = (Assertion.PRESENT, Assertion.POSSIBLE, Assertion.ABSENT)


def questions_of(row: StudyRow, *, seed: int = 0) -> Iterator[StudyRow]:
    """One row a question: what is abnormal, then for each finding whether it is there or where it is.

    The phrases are verbatim in the answer, or, of what is denied, in the question. ``#q0``, ``#q1`` and so on stand
    after the study's identifier; findings that a question is not about are unmentioned in its row. Resolved and prior
    findings are not asked for.
    """
    dice = dice_of(seed, row.id, "questions")
    asked = [phrase for phrase in merged_labels(row, places=True) if phrase.assertion in _ASKED]
    texts = [_abnormality([phrase for phrase in asked if phrase.assertion.placed], dice)]
    texts += [_about(phrase, dice) for phrase in asked if phrase.finding]
    for number, (text, phrases) in enumerate(texts):
        yield with_report(row, text, phrases).model_copy(update={"id": f"{row.id}#q{number}"})


_Text = tuple[str, list[PhraseRow]]


def _abnormality(placed: Sequence[PhraseRow], dice: Dice) -> _Text:
    known = templates()
    question = dice.pick(known.questions["abnormality"])
    if not placed:
        return known.form.format(question=question, answer=dice.pick(known.answers["nothing"])), []
    text, phrases = known.form.format(question=question, answer=""), []
    for place, phrase in enumerate(placed):
        lead = f"{known.possible} " if phrase.assertion is Assertion.POSSIBLE else ""
        words = _begun(phrase.text, upper=not lead)
        text += f"{' ' if place else ''}{lead}"
        phrases.append(_at(phrase, words, len(text)))
        text += f"{words}."
    return text, phrases


def _about(phrase: PhraseRow, dice: Dice) -> _Text:
    known, finding = templates(), str(phrase.finding)
    where = phrase.assertion is Assertion.PRESENT and phrase.side is not None and dice.chance(0.5)
    question = dice.pick(known.questions["location" if where else "presence"])
    article = ("an " if finding[0] in "aeiou" else "a ") if finding in known.counted else ""
    question = question.format(finding=finding, anp=f"{article}{finding}")
    if phrase.assertion is Assertion.ABSENT:
        text = known.form.format(question=question, answer=dice.pick(known.answers["absent"]))
        return text, [_at(phrase, finding, text.index(finding))]
    frame = "{phrase}." if where else dice.pick(known.answers[phrase.assertion.value])
    words = _begun(phrase.text, upper=frame.startswith("{phrase}"))
    answer = frame.format(phrase=words)
    text = known.form.format(question=question, answer=answer)
    return text, [_at(phrase, words, len(text) - len(answer) + frame.index("{phrase}"))]


def _at(phrase: PhraseRow, words: str, start: int) -> PhraseRow:
    return phrase.model_copy(update={"text": words, "span": (start, start + len(words)), "section": Section.UNHEADED})


def _begun(words: str, *, upper: bool) -> str:
    """The words with a capital or a small letter at their head; an abbreviation keeps its own."""
    if len(words.split()[0]) > 1 and words.split()[0].isupper():
        return words
    return (words[0].upper() if upper else words[0].lower()) + words[1:]
