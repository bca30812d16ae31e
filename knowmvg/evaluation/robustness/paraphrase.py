"""Placed phrases in other words of the simulator's grammar: does the box stay?

A rewording counts only where the report reader understands it as it understood the phrase: the same finding, side and
zone. Findings that the simulator does not know keep their words and are left out.
"""

from __future__ import annotations

import re
from dataclasses import replace

from knowmvg.core.records import Phrase, Side, Study
from knowmvg.evaluation.robustness.changed_studies import generator
from knowmvg.sources.phantom.report.dice import Dice
from knowmvg.sources.phantom.report.rewording import rewordings
from knowmvg.sources.report import read_report
from knowmvg.sources.texts.edits import Edit, rewrite

_ARTICLE = re.compile(r"\b(an?)\s+$", re.IGNORECASE)
_TRIES = 8


class Paraphrase:
    """A view in which each placed phrase is reworded in the report; image, reference boxes and other words stay.

    ``reworded`` tells for each study, by identifier, the labels that got other words.
    """

    def __init__(self, seed: int = 0) -> None:
        self.reworded: dict[str, frozenset[int]] = {}
        self._seed = seed

    def __call__(self, study: Study) -> Study:
        """The study as it is shown."""
        dice = Dice(generator(self._seed, study.id, "paraphrase"))
        edits: list[Edit] = []
        done: dict[int, str] = {}
        taken = _spans(study)
        for index, label in enumerate(study.labels):
            span = label.phrase.span
            if span is None or not label.phrase.assertion.placed or _shared(span, index, taken):
                continue
            if study.report[slice(*span)] == label.phrase.text:
                own = _edits(study.report, label.phrase, span, dice)
                if own:
                    edits += own
                    done[index] = own[-1].text
        report = rewrite(study.report, edits)
        labels = []
        for index, label in enumerate(study.labels):
            span = report.span(label.phrase.span) if label.phrase.span is not None else None
            text = report.text[slice(*span)] if span is not None and index in done else label.phrase.text
            labels.append(replace(label, phrase=label.phrase.model_copy(update={"text": text, "span": span})))
        self.reworded[study.id] = frozenset(done)
        return replace(study, report=report.text, labels=tuple(labels), id=f"{study.id} (paraphrased)")


def _edits(report: str, phrase: Phrase, span: tuple[int, int], dice: Dice) -> list[Edit]:
    """The phrase's new words, after its new article where it has one; nothing where no rewording is understood."""
    understood = _understood(phrase.text)
    article = _ARTICLE.search(report, max(0, span[0] - 4), span[0])
    if understood is None or phrase.finding is None or understood[0] != phrase.finding:
        return []
    candidates = rewordings(phrase.text, *understood, article is not None, dice)
    for _, words in zip(range(_TRIES), candidates, strict=False):
        if _understood(words) != understood:
            continue
        upper = phrase.text[0].isupper() and not phrase.text.split()[0].isupper()
        new = [Edit(*span, words[0].upper() + words[1:] if upper else words)]
        if article is not None:
            fitting = "an" if words[0].casefold() in "aeiou" else "a"
            fitting = fitting.capitalize() if article[1][0].isupper() else fitting
            new.insert(0, Edit(article.start(1), article.end(1), fitting))
        return new
    return []


def _understood(words: str) -> tuple[str, Side | None, str | None] | None:
    """Finding, side and zone of a phrase of one finding, read as a report is."""
    found = read_report(words).phrases
    if len(found) != 1 or found[0].finding is None:
        return None
    return found[0].finding, found[0].side, found[0].zone


def _spans(study: Study) -> list[tuple[int, int] | None]:
    return [label.phrase.span for label in study.labels]


def _shared(span: tuple[int, int], index: int, spans: list[tuple[int, int] | None]) -> bool:
    """Whether another label's words overlap these."""
    others = (other for place, other in enumerate(spans) if place != index and other is not None)
    return any(max(span[0], other[0]) < min(span[1], other[1]) for other in others)
