"""Left and right exchanged in report and phrases: does the box go to the other side?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from knowmvg.core.records import LabelledPhrase, Phrase, Side, Study
from knowmvg.sources.texts.edits import Edit, Rewritten, rewrite

_ABBREVIATIONS = {"lul": "RUL", "rul": "LUL", "lll": "RLL", "rll": "LLL"}
_EXCHANGED = {
    **{"left": "right", "right": "left", "leftward": "rightward", "rightward": "leftward"},
    **dict.fromkeys(["lingula", "lingular", "left lingula", "left lingular"], "right middle lobe"),
    **dict.fromkeys(["rml", "middle lobe", "right middle lobe"], "lingular"),
}
_LONGEST_FIRST = sorted([*_EXCHANGED, *_ABBREVIATIONS], key=len, reverse=True)
_SIDED = re.compile(rf"\b(?:{'|'.join(_LONGEST_FIRST)})\b", re.IGNORECASE)
_CHAMBER = re.compile(r"[\s-]+(?:ventric|atri)", re.IGNORECASE)
"""'Left ventricular enlargement' names a chamber and no side of the chest."""


def swapped_words(text: str) -> list[Edit]:
    """The edits that exchange the words for left and right, with their case.

    The lingula stands for the middle lobe, which the left lung has not; words for chambers of the heart stay.
    """
    return [
        Edit(match.start(), match.end(), _exchanged(match, text))
        for match in _SIDED.finditer(text)
        if not _CHAMBER.match(text, match.end())
    ]


class LateralitySwap:
    """A view that exchanges left and right in the words alone; image and reference boxes stay.

    ``swapped`` tells for each study, by identifier, the labels whose own words changed sides, and ``widths`` the
    image's width in pixels.
    """

    def __init__(self) -> None:
        self.swapped: dict[str, frozenset[int]] = {}
        self.widths: dict[str, int] = {}

    def __call__(self, study: Study) -> Study:
        """The study as it is shown."""
        report = rewrite(study.report, swapped_words(study.report))
        labels = [replace(label, phrase=_swapped(label.phrase, study.report, report)) for label in study.labels]
        self.swapped[study.id] = frozenset(_changed(study.labels, labels))
        self.widths[study.id] = study.image.size[0]
        return replace(study, report=report.text, labels=tuple(labels), id=f"{study.id} (left and right exchanged)")


def _changed(before: tuple[LabelledPhrase, ...], after: list[LabelledPhrase]) -> Iterator[int]:
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        if old.phrase.text != new.phrase.text and old.phrase.side in (Side.LEFT, Side.RIGHT):
            yield index


def _swapped(phrase: Phrase, report: str, rewritten: Rewritten) -> Phrase:
    text, span = rewrite(phrase.text, swapped_words(phrase.text)).text, None
    if phrase.span is not None and report[slice(*phrase.span)] == phrase.text:
        span = rewritten.span(phrase.span)
        text = rewritten.text[slice(*span)]
    side = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}.get(phrase.side, phrase.side) if phrase.side else None
    return phrase.model_copy(update={"text": text, "span": span, "side": side})


def _exchanged(match: re.Match[str], text: str) -> str:
    found = match[0]
    if (abbreviation := _ABBREVIATIONS.get(found.casefold())) is not None:
        return abbreviation
    other = _EXCHANGED[found.casefold()]
    if other == "lingular" and text[: match.start()].casefold().endswith("the "):
        other = "lingula"
    if found.isupper() and found.casefold() != "rml":
        return other.upper()
    return other[0].upper() + other[1:] if found[0].isupper() and found.casefold() != "rml" else other
