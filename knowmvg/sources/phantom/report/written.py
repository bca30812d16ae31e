"""A report as it is written: text that grows to the right, with a mark on each diagnostic phrase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from knowmvg.core.records import Assertion, Section, Side
from knowmvg.sources.phantom.scene import Finding


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A finding in words, before it has a place in a text; ``index`` is that of the ``Finding`` it names, if any.

    ``number`` is ``count`` (takes an article), ``mass``, ``plural``, ``clause`` or ``hedged``.
    """

    text: str
    number: str
    finding: str
    side: Side | None
    zone: str | None
    assertion: Assertion
    index: int | None = None


@dataclass(frozen=True, slots=True)
class WrittenPhrase:
    """A diagnostic phrase with ``report.text[span[0]:span[1]] == text``."""

    text: str
    span: tuple[int, int]
    section: Section
    assertion: Assertion
    finding: str
    side: Side | None
    zone: str | None
    index: int | None


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report with its diagnostic phrases in reading order."""

    text: str
    phrases: tuple[WrittenPhrase, ...]


def named_lesions(phrase: WrittenPhrase, findings: Sequence[Finding]) -> list[int]:
    """Which lesions of ``findings[phrase.index]`` the words mean, from the image's left to its right.

    Of a bilateral finding these are only the ones on the side that is told; what is absent, resolved or prior has none.
    """
    if phrase.index is None or not phrase.assertion.placed:
        return []
    finding = findings[phrase.index]
    one_side = finding.side is Side.BILATERAL and phrase.side in (Side.LEFT, Side.RIGHT)
    meant = [k for k, lesion in enumerate(finding.lesions) if not one_side or lesion.side is phrase.side]
    return sorted(meant, key=lambda k: finding.lesions[k].box)


Sentence = Sequence[str | NounPhrase]


@dataclass(slots=True)
class Draft:
    """Collects text and marks; ``length`` is in characters."""

    parts: list[str] = field(default_factory=list)
    phrases: list[WrittenPhrase] = field(default_factory=list)
    length: int = 0

    def write(self, text: str) -> None:
        """Append plain text."""
        self.parts.append(text)
        self.length += len(text)

    def sentence(self, pieces: Sentence, section: Section, stop: str = ".") -> None:
        """Append a sentence: first letter upper case, the stop at its end."""
        first = True
        for piece in pieces:
            text = piece if isinstance(piece, str) else piece.text
            if first and text:
                text, first = text[0].upper() + text[1:], False
            if isinstance(piece, NounPhrase):
                span = (self.length, self.length + len(text))
                self.phrases.append(
                    WrittenPhrase(
                        text, span, section, piece.assertion, piece.finding, piece.side, piece.zone, piece.index
                    )
                )
            self.write(text)
        self.write(stop)

    def report(self) -> WrittenReport:
        """What has been written."""
        return WrittenReport("".join(self.parts), tuple(self.phrases))


def word_count(pieces: Sentence) -> int:
    """How many words a sentence has."""
    return sum(len((piece if isinstance(piece, str) else piece.text).split()) for piece in pieces)
