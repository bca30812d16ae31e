"""What the parser and the index do not agree on, each with its sentences: to work down, not to pass on.

The list holds report text: it is written outside the repository only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from report_index import HEADINGS, Case, gather, one_side  # benchmarks/report_index.py

from knowmvg.core.records import Assertion, Side
from knowmvg.sources.report import ReportReading

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Error:
    """``kind`` is missed, false or side; ``read`` is what the sentences were read as; ``index`` why the index errs."""

    uid: str
    heading: str
    kind: str
    expected: str
    got: str
    sentences: tuple[str, ...]
    read: tuple[str, ...]
    index: str | None


def list_errors(
    cases: Sequence[Case], readings: Sequence[ReportReading], judged: Mapping[tuple[str, str], str]
) -> Iterator[Error]:
    """Every heading that one side names and the other does not, and every side that differs."""
    for case, reading in zip(cases, readings, strict=True):
        for heading in HEADINGS:
            indexed, present = case.indexed.get(heading), case.present.get(heading)
            kind = _kind(indexed, present)
            if kind is not None:
                sentences, read = _context(heading, reading)
                reason = judged.get((case.uid, heading))
                yield Error(case.uid, heading, kind, _show(indexed), _show(present), sentences, read, reason)


def _kind(indexed: set[Side] | None, present: set[Side] | None) -> str | None:
    if indexed is None or present is None:
        return None if indexed is present else ("false" if indexed is None else "missed")
    return "side" if indexed and one_side(indexed) != one_side(present) else None


def _show(sides: set[Side] | None) -> str:
    if sides is None:
        return "nothing"
    side = one_side(sides)
    return "present" if side is None else f"present, {side.value}"


def _context(heading: str, reading: ReportReading) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sentences that name the heading and their phrases; all sentences where none does."""
    named = [
        phrase
        for phrase in reading.phrases
        if phrase.span and gather([phrase], list(Assertion)).get(heading) is not None
    ]
    spans = [phrase.span for phrase in named if phrase.span]
    texts = tuple(
        reading.text[sentence.start : sentence.end]
        for sentence in reading.sentences
        if not spans or any(sentence.start <= start < sentence.end for start, _ in spans)
    )
    words = ((phrase.text, phrase.assertion.value, phrase.side and phrase.side.value) for phrase in named)
    return texts, tuple(" | ".join(word for word in line if word) for line in words)


def write_errors(path: Path, errors: Sequence[Error]) -> None:
    """Markdown for a name that ends in .md, else JSON lines. Ends the script for a path inside the repository."""
    if path.resolve().is_relative_to(REPOSITORY):
        sys.exit(f"expected a path outside the repository (the list holds report text), got {path}")
    lines = _markdown(errors) if path.suffix == ".md" else (json.dumps(asdict(error)) for error in errors)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    partial.replace(path)


def _markdown(errors: Sequence[Error]) -> Iterator[str]:
    for error in sorted(errors, key=lambda error: (error.heading, error.kind, error.uid)):
        yield f"## {error.heading}: {error.kind} in {error.uid}\n"
        yield f"expected {error.expected}, got {error.got}" + (f" (index wrong: {error.index})" if error.index else "")
        yield from (f"\n> {' '.join(text.split())}" for text in error.sentences)
        yield from (f"\n* {line}" for line in error.read)
        yield ""
