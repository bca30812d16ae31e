"""What is asked of UMLS, whichever way it is reached: the imported database (``store``) or the REST API (``rest``)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from knowmvg.knowledge.umls.relations import Kind

# Vocabularies and term types whose wording comes first, those for radiology and anatomy before the general ones.
SOURCE_ORDER = ("SNOMEDCT_US", "RADLEX", "FMA", "MSH", "NCI", "MTH")
TERM_TYPE_ORDER = ("PT", "PN", "MH", "PEP", "SY", "ET", "FN")
_SOURCE_PLACES = {source: place for place, source in enumerate(SOURCE_ORDER)}
_TERM_TYPE_PLACES = {term_type: place for place, term_type in enumerate(TERM_TYPE_ORDER)}

# Semantic types of places in the body. Those of cells, substances and systems locate nothing on an image.
ANATOMY = frozenset({"T017", "T018", "T021", "T023", "T024", "T029", "T030"})


@dataclass(frozen=True, slots=True)
class Name:
    """A wording of a concept: vocabulary, term type, and whether it is the preferred one of UMLS itself."""

    text: str
    source: str
    term_type: str
    preferred: bool = False

    @property
    def order(self) -> tuple[int, int, bool, str, str, str]:
        """Lower is better: the vocabulary, the term type, UMLS's own preference, then the alphabet."""
        return (
            _SOURCE_PLACES.get(self.source, len(SOURCE_ORDER)),
            _TERM_TYPE_PLACES.get(self.term_type, len(TERM_TYPE_ORDER)),
            not self.preferred,
            self.text.casefold(),
            self.source,
            self.term_type,
        )


@dataclass(frozen=True, slots=True)
class Match:
    """A concept that has the term asked for: ``name`` is its best wording, ``matched`` the one that was found."""

    cui: str
    name: Name
    matched: Name
    types: tuple[str, ...]

    @property
    def anatomical(self) -> bool:
        """Whether the concept is a place in the body."""
        return not ANATOMY.isdisjoint(self.types)


@dataclass(frozen=True, slots=True)
class Link:
    """What is asked about lies at (or is a) ``cui``, as ``sources`` say."""

    kind: Kind
    cui: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """A text that a vocabulary gives a concept."""

    text: str
    source: str


class Concepts(Protocol):
    """UMLS of one release. CUIs that are unknown have no name, no types and no links."""

    @property
    def release(self) -> str:
        """The release's name, such as ``2025AB``."""
        ...

    def lookup(self, term: str) -> list[Match]:
        """All concepts with a wording equal to ``term`` but for case, plural and word order, the best first."""
        ...

    def name(self, cui: str) -> Name | None:
        """The best wording of a concept."""
        ...

    def types(self, cui: str) -> tuple[str, ...]:
        """The semantic types (TUIs) of a concept, ascending."""
        ...

    def links(self, cui: str, kinds: Collection[Kind]) -> list[Link]:
        """Where a concept lies and what it is, ordered by kind, number of sources and CUI."""
        ...

    def definitions(self, cui: str) -> list[Definition]:
        """The definitions of a concept, those of the preferred vocabularies first."""
        ...


def source_place(source: str) -> int:
    """The place of a vocabulary in the order of preference."""
    return _SOURCE_PLACES.get(source, len(SOURCE_ORDER))
