"""A grounder from its folder, ready to name phrases: one that names none itself is given the report parser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from knowmvg.core.grounder import Grounder, ReadingGrounder
from knowmvg.core.records import Phrase
from knowmvg.sources.report import read_report


def load_grounder(folder: Path) -> Grounder:
    """Read a grounder (``grounders.store.load_grounder``, with its errors)."""
    from knowmvg.grounders.store import load_grounder as load_model  # torch takes seconds to import

    return able_to_name(load_model(folder))


def able_to_name(grounder: Grounder) -> Grounder:
    """The grounder itself, or, where it names no phrases, with the parser to do so."""
    return grounder.with_reader(phrases_of) if isinstance(grounder, ReadingGrounder) else grounder


def phrases_of(report: str) -> Sequence[Phrase]:
    """The phrases that the parser reads in a report."""
    return read_report(report).phrases
