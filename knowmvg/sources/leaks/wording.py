"""Leaks in words."""

from __future__ import annotations

from collections.abc import Sequence

from knowmvg.sources.leaks.found import Kind, Leak

_NOUNS = {
    Kind.PATIENT: ("patient", "patients"),
    Kind.PATH: ("image by its path", "images by their paths"),
    Kind.BYTES: ("image by its bytes", "images by their bytes"),
    Kind.NEAR: ("image that looks alike", "images that look alike"),
    Kind.TEXT: ("report text", "report texts"),
    Kind.SENTENCES: ("sentence, in reports that hold no other", "sentences, in reports that hold no others"),
}


def leak_line(leak: Leak) -> str:
    """``59 patients of test are in train (87 of 198 rows)``."""
    verb = "is" if leak.keys == 1 else "are"
    noun = _NOUNS[leak.kind][leak.keys != 1]
    warning = "" if leak.kind.severe else "; a warning: templates and normal reports repeat words"
    return f"{leak.keys} {noun} of {leak.held_out} {verb} in {leak.seen} ({leak.rows} of {leak.of} rows{warning})"


def refusal(leaks: Sequence[Leak], todo: str) -> tuple[str, str, str]:
    """The parts of a ``LeakError``."""
    first = max(leaks, key=lambda leak: (leak.held_out == "test", leak.rows))
    more = f", and {len(leaks) - 1} more" if len(leaks) > 1 else ""
    return "no patient and no image in two splits", f"{leak_line(first)}{more}", todo
