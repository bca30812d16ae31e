"""Left for right in a report, with every span of it where its words then stand."""

from __future__ import annotations

import re
from dataclasses import replace

from knowmvg.core.records import LabelledPhrase, Phrase, Side, Study

_PAIRS = (("left", "right"), ("lt", "rt"), ("lll", "rll"), ("lul", "rul"), ("llz", "rlz"), ("luz", "ruz"))
_OTHER = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}
_WORD = re.compile(r"\b(?:(left|right)(?=(?:wards?|most)?\b)|(lt|rt|lll|rll|lul|rul|llz|rlz|luz|ruz)\b)", re.IGNORECASE)
#: words that mean a side and have no counterpart on the other
_BOUND = re.compile(
    r"\b(?:lingul\w*|rml|middle\s+lobe|(?:minor|horizontal)\s+fissure|azyg\w+|dextro\w*|levo\w*|situs|"
    r"gastric\s+bubble|stomach)\b",
    re.IGNORECASE,
)
_SIDES = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}


def can_be_mirrored(study: Study) -> bool:
    """Whether no word of the study means a side without saying left or right."""
    texts = (study.report, *(label.phrase.text for label in study.labels))
    return not any(_BOUND.search(text) for text in texts)


def mirrored_text(text: str) -> str:
    """The text with left and right exchanged, in the case of the words that they replace."""
    return _WORD.sub(lambda found: _in_case(found[0]), text)


def mirrored_words(study: Study) -> Study:
    """The study with the sides of its report, phrases and labels exchanged; image and boxes are left as they are."""
    changes = [(found.start(), found.end(), len(_in_case(found[0]))) for found in _WORD.finditer(study.report)]
    report = mirrored_text(study.report)

    def mirrored(label: LabelledPhrase) -> LabelledPhrase:
        phrase = label.phrase
        text, span = mirrored_text(phrase.text), phrase.span
        if span is not None:
            verbatim = study.report[slice(*span)] == phrase.text
            span = (_moved(span[0], changes, at_end=False), _moved(span[1], changes, at_end=True))
            text = report[slice(*span)] if verbatim else text
        values = phrase.model_dump() | {"text": text, "span": span}
        if phrase.side is not None:
            values["side"] = _SIDES.get(phrase.side, phrase.side)
        return replace(label, phrase=Phrase(**values))

    return replace(study, report=report, labels=tuple(mirrored(label) for label in study.labels))


def _moved(position: int, changes: list[tuple[int, int, int]], *, at_end: bool) -> int:
    """Where a position of the old text lies in the new; within a word that changed it goes to the word's edge."""
    shift = 0
    for start, end, length in changes:
        if position >= end:
            shift += length - (end - start)
        elif position > start:
            return start + shift + (length if at_end else 0)
    return position + shift


def _in_case(word: str) -> str:
    other = _OTHER[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other
