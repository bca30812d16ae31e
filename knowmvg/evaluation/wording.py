"""What a phrase's words give away: a place, or that the same words were there in training."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from knowmvg.core.records import Phrase, Study, normalised
from knowmvg.knowledge.patterns import split_words
from knowmvg.sources.report.location import name_place


def names_place(phrase: Phrase) -> bool:
    """Whether the phrase's own words name a side or a zone of the chest, which tells a model where to look."""
    return any(place is not None for place in name_place(split_words(phrase.text)))


def phrase_texts(studies: Iterable[Study]) -> frozenset[str]:
    """Texts of the studies' boxed phrases, normalised: what a model may have learned by heart."""
    return frozenset(normalised(label.phrase.text) for study in studies for label in study.labels if len(label.boxes))


def findings_in(studies: Iterable[Study]) -> frozenset[str]:
    """The findings that the studies' labels name, placed or not: those that a reference can confirm or refute."""
    found = {label.phrase.finding for study in studies for label in study.labels}
    return frozenset(finding for finding in found if finding is not None)


def is_seen(phrase: Phrase, known: Collection[str] | None) -> bool | None:
    """Whether the phrase's text is among ``known`` ones (see ``phrase_texts``); ``None`` where none are known."""
    return None if known is None else normalised(phrase.text) in known
