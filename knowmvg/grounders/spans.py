"""Where an answer's phrases stand in the report."""

from __future__ import annotations

import re
from collections.abc import Sequence

Span = tuple[int, int]


def find_spans(report: str, phrases: Sequence[str]) -> list[Span | None]:
    """The span of each phrase in the report, ``None`` for one that is not verbatim in it.

    Case and the width of white space do not count. A phrase is sought after the phrase before it first (answers keep
    the report's order), then from the start, and never twice in the same place.
    """
    found: list[Span | None] = []
    cursor, taken = 0, set()
    for phrase in phrases:
        words = phrase.split()
        pattern = re.compile(r"\s+".join(map(re.escape, words)), re.IGNORECASE) if words else None
        spans = [m.span() for m in pattern.finditer(report)] if pattern else []
        free = [span for span in spans if span not in taken]
        span = next((s for s in free if s[0] >= cursor), free[0] if free else None)
        if span is not None:
            taken.add(span)
            cursor = span[1]
        found.append(span)
    return found
