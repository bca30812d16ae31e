"""Descriptions of categories in place of the report, as in MRG-MIMIC-Class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from knowmvg.core.records import Section
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.knowledge.vocabulary import words_of
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.texts.labels import merged_labels
from knowmvg.sources.texts.rows import with_report
from knowmvg.sources.texts.templates import dice_of, templates

Describe = Callable[[str], str | None]
"""Category to a description that ends without a full stop, or ``None``."""


def atlas_description(category: str) -> str | None:
    """What the atlas says of the finding and how it looks, in one line; ``None`` for one that it does not hold."""
    return _lines().get(words_of(category))


def category_text(row: StudyRow, *, seed: int = 0, describe: Describe = atlas_description) -> StudyRow | None:
    """The row whose report names and describes each category on the image; the phrases are the categories' names.

    No word of place is said: the categories are the same for every image. All boxes of a category belong to its phrase.

    Returns:
        ``None`` for a row without a placed category.
    """
    labels = [phrase for phrase in merged_labels(row, places=False) if phrase.finding and phrase.assertion.placed]
    dice, known = dice_of(seed, row.id, "categories"), templates()
    text, phrases = "", []
    for label in dice.shuffled(labels):
        name = str(label.finding)
        name, about = name[0].upper() + name[1:], describe(name)
        frame = dice.pick(known.bare_categories if about is None else known.categories)
        text += " " if text else ""
        span = (len(text), len(text) + len(name))
        update = {"text": name, "span": span, "section": Section.UNHEADED, "side": None, "zone": None}
        phrases.append(label.model_copy(update=update))
        text += frame.format(Finding=name, about=about)
    return with_report(row, text, phrases) if phrases else None


def categories_of(rows: Iterable[StudyRow]) -> set[str]:
    """All categories that ``category_text`` would describe."""
    return {phrase.finding for row in rows for phrase in row.phrases if phrase.finding and phrase.assertion.placed}


@cache
def _lines() -> dict[tuple[str, ...], str]:
    atlas = load_atlas()
    return {words_of(name): entry.about for entry in atlas.findings for name in (entry.name, *entry.synonyms)}
