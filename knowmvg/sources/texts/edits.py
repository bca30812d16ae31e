"""Changes of a report's words that know where every phrase goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters ``[start, end)`` of a text and what stands there instead."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A text after its edits."""

    text: str
    edits: tuple[Edit, ...]

    def span(self, span: Span) -> Span:
        """Where characters of the old text stand now; an edit that reaches into the span counts as part of it."""
        return self._place(span[0], end=False), self._place(span[1], end=True)

    def _place(self, old: int, *, end: bool) -> int:
        shift = 0
        for edit in self.edits:
            if edit.end <= old:
                shift += len(edit.text) - (edit.end - edit.start)
            elif edit.start < old:  # inside an edit: its border
                return edit.start + shift + (len(edit.text) if end else 0)
        return old + shift


def rewrite(text: str, edits: Sequence[Edit]) -> Rewritten:
    """The text with its edits. Raises ``ValueError`` for edits that overlap or lie outside the text."""
    ordered = tuple(sorted(edits, key=lambda edit: (edit.start, edit.end)))
    parts, cursor = [], 0
    for edit in ordered:
        if not cursor <= edit.start <= edit.end <= len(text):
            raise ValueError(f"expected edits one after the other in {len(text)} characters, got {edit}")
        parts += [text[cursor : edit.start], edit.text]
        cursor = edit.end
    return Rewritten("".join([*parts, text[cursor:]]), ordered)
