"""The modes of text by name, each a function from a row to the rows that take its place."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from knowmvg.core.errors import RecipeError
from knowmvg.core.records import Section
from knowmvg.sources.manifest import StudyRow
from knowmvg.sources.texts.categories import Describe, atlas_description, category_text
from knowmvg.sources.texts.labels import Positions, has_words, label_report, told_labels, without_report
from knowmvg.sources.texts.phrases import one_each, only_phrases
from knowmvg.sources.texts.positions import without_positions
from knowmvg.sources.texts.questions import questions_of
from knowmvg.sources.texts.sections import keep_section

Transform: TypeAlias = Callable[[StudyRow], tuple[StudyRow, ...]]
"""Rows in place of a row; none where the mode has no text for it. The image, its boxes and the split stay."""


RowTransform: TypeAlias = Callable[[StudyRow], StudyRow | None]
"""At most one row in place of a row."""


class TextMode(StrEnum):
    """What stands in the report's place; ``labels`` is a report from the labels, also where there is one already."""

    FULL = "full"
    LABELS = "labels"
    FINDINGS = "findings"
    IMPRESSION = "impression"
    PHRASES = "phrases"
    PHRASE = "phrase"
    QUESTION = "question"
    CATEGORY = "category"


def transform(
    mode: TextMode,
    *,
    positions: Positions = Positions.KEEP,
    seed: int = 0,
    describe: Describe = atlas_description,
) -> Transform:
    """The function of a mode.

    A row without a report gets one from its labels first (``labels.label_report``).

    Args:
        mode: what stands in the report's place.
        positions: what becomes of words for the place.
        seed: of template wordings.
        describe: descriptions for the mode ``category``.
    """

    def changed(row: StudyRow) -> tuple[StudyRow, ...]:
        made = _reported(without_report(row) if mode is TextMode.LABELS else row, positions, seed)
        return tuple(without_positions(one) if positions is Positions.DROP else one for one in _shown(made))

    def _shown(row: StudyRow) -> tuple[StudyRow, ...]:
        if mode is TextMode.PHRASE:
            return tuple(one_each(row))
        if mode is TextMode.QUESTION:
            return tuple(questions_of(row, seed=seed))
        if mode in (TextMode.FULL, TextMode.LABELS):
            return (row,)
        if mode is TextMode.PHRASES:
            one = only_phrases(row)
        elif mode is TextMode.CATEGORY:
            one = category_text(row, seed=seed, describe=describe)
        else:
            one = keep_section(row, Section(mode.value))
        return () if one is None else (one,)

    return changed


def row_transform(mode: TextMode, *, positions: Positions = Positions.KEEP, seed: int = 0) -> RowTransform:
    """``transform`` for modes that give at most one row a study.

    Raises ``RecipeError`` for the modes that give several, which are made from a folder: ``knowmvg texts``.
    """
    if mode in (TextMode.PHRASE, TextMode.QUESTION):
        todo = f"Prepare the data set first, then: knowmvg texts FOLDER --mode {mode} --out OTHER."
        raise RecipeError("a text mode with one row a study", mode.value, todo)
    change = transform(mode, positions=positions, seed=seed)
    return lambda row: next(iter(change(row)), None)


def _reported(row: StudyRow, positions: Positions, seed: int) -> StudyRow:
    if has_words(row):
        return row
    told, places = told_labels(row, positions)
    return label_report(told, places=places, seed=seed)
