"""Placed phrases denied in the report while the image still shows them: which of them get a box all the same?

Every sentence that states a finding is replaced by "No A, B or C." of the findings that it names, in their own words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from knowmvg.core.boxes import as_boxes
from knowmvg.core.records import Assertion, LabelledPhrase, Phrase, Study
from knowmvg.evaluation.robustness.edits import Edit, rewrite
from knowmvg.sources.report import Sentence, read_report

_CLAUSE = re.compile(r"\b(?:is|are|was|were|has|have|appears?|remains?)\b")


def denied(study: Study) -> Study | None:
    """The study with a report that denies its placed phrases; its labels are those of them that had a box.

    ``None`` where a boxed phrase has no place in the report's sentences, or is a clause without a finding's name, so
    that it could not be denied; and where there is no boxed phrase.
    """
    placed = [label for label in study.labels if label.phrase.assertion.placed]
    if not any(len(label.boxes) for label in placed):
        return None
    sentences = read_report(study.report).sentences
    homes = [_home(label.phrase, study.report, sentences) for label in placed]
    edits: list[Edit] = []
    spans: dict[int, tuple[int, int]] = {}  # of a placed phrase, in its sentence's new words
    for place, sentence in enumerate(sentences):
        inside = [k for k, home in enumerate(homes) if home == place]
        if not inside:
            continue
        words = [_name(placed[k].phrase) for k in inside]
        if not all(words):
            return None
        text, parts = _denial([word for word in words if word])
        edits.append(Edit(sentence.start, sentence.end, text))
        spans |= dict(zip(inside, parts, strict=True))
    if any(home is None and len(label.boxes) for home, label in zip(homes, placed, strict=True)):
        return None
    report = rewrite(study.report, edits)
    labels = [
        _label(placed[k].phrase, report.text, report.span((sentences[home].start, sentences[home].end))[0], spans[k])
        for k, home in enumerate(homes)
        if home is not None and len(placed[k].boxes)
    ]
    return replace(study, report=report.text, labels=tuple(labels), id=f"{study.id} (denied)")


def _home(phrase: Phrase, report: str, sentences: Sequence[Sentence]) -> int | None:
    """The sentence that holds the whole phrase."""
    if phrase.span is None or report[slice(*phrase.span)] != phrase.text:
        return None
    start, end = phrase.span
    return next((k for k, s in enumerate(sentences) if s.start <= start and end <= s.end), None)


def _name(phrase: Phrase) -> str | None:
    """What stands after "no": the phrase's own words, or the finding's name for a clause such as 'heart is enlarged'."""
    if _CLAUSE.search(phrase.text):
        side = f"{phrase.side} " if phrase.side is not None else ""
        return f"{side}{phrase.finding}" if phrase.finding is not None else None
    first, _, _ = phrase.text.partition(" ")
    return phrase.text if first.isupper() and len(first) > 1 else phrase.text[0].lower() + phrase.text[1:]


def _denial(names: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """'No A, B or C.' and where each name stands in it."""
    text, spans = "No ", []
    for place, name in enumerate(names):
        if place:
            text += " or " if place == len(names) - 1 else ", "
        spans.append((len(text), len(text) + len(name)))
        text += name
    return f"{text}.", spans


def _label(phrase: Phrase, report: str, sentence: int, span: tuple[int, int]) -> LabelledPhrase:
    where = (sentence + span[0], sentence + span[1])
    words = {"text": report[slice(*where)], "span": where, "assertion": Assertion.ABSENT}
    return LabelledPhrase(phrase.model_copy(update=words), as_boxes([]))
