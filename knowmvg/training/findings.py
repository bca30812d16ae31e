"""Which findings a run teaches: what its model says that it has learnt."""

from __future__ import annotations

from collections.abc import Iterable

from knowmvg.sources.manifest import PhraseRow


def named_findings(phrases: Iterable[PhraseRow]) -> list[str] | None:
    """The canonical names of the phrases' findings, in order; ``None`` for data that names none."""
    return sorted({phrase.finding for phrase in phrases if phrase.finding}) or None
