"""The interface that every grounding system implements and every use of one relies on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from knowmvg.core.maps import MapKind
from knowmvg.core.records import Grounding, Phrase, Study

ReportReader: TypeAlias = Callable[[str], Sequence[Phrase]]
"""A report to its diagnostic phrases."""


@dataclass(frozen=True, slots=True)
class Query:
    """A phrase that a grounder is asked to place.

    ``boxes`` is the number of boxes wanted: the reference's number in the ``teacher_forced`` protocol, ``None`` to
    leave it to the model.
    """

    phrase: Phrase
    boxes: int | None = None


@runtime_checkable
class Grounder(Protocol):
    """Studies in, one ``Grounding`` a study out, in order; boxes in stored pixels inside the image."""

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        """Read each study's report, name its diagnostic phrases and place them (the ``generate`` protocol)."""
        ...

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        """Place given phrases: one list of queries a study, answered in order (``teacher_forced``, ``phrase_given``).

        The report of the study is read as context; a study without queries gives an empty ``Grounding``.
        """
        ...


@runtime_checkable
class LimitedGrounder(Grounder, Protocol):
    """A grounder that knows what it has learnt; one that does not say so is asked everything in the report's words."""

    @property
    def findings(self) -> frozenset[str] | None:
        """Canonical names of the findings that it has learnt to place; ``None`` where that is not limited."""
        ...

    def reads(self, report: str) -> bool:
        """Whether the report is written in words that its language model has read."""
        ...


@runtime_checkable
class MapGrounder(Grounder, Protocol):
    """A grounder whose evidence can hold maps; without being asked it makes none."""

    @property
    def maps(self) -> tuple[MapKind, ...]:
        """The kinds of maps that it can give."""
        ...

    def with_maps(self) -> Grounder:
        """The same grounder as it answers with ``Evidence.maps``, one of each kind a phrase; it stays as it is."""
        ...


@runtime_checkable
class DrawingGrounder(Grounder, Protocol):
    """A grounder whose input can be made ahead of its use, while the model answers other studies."""

    def drawn(self, study: Study) -> Study:
        """The study with its image as the model takes it; its answers are the same. For any thread: it reads alone."""
        ...


@runtime_checkable
class ReadingGrounder(Grounder, Protocol):
    """A grounder that may name no phrases itself: its ``ground`` places those that a reader of reports names."""

    @property
    def reader(self) -> ReportReader | None:
        """The reader; ``None`` where it has none yet, or names phrases itself."""
        ...

    def with_reader(self, reader: ReportReader) -> Grounder:
        """The same grounder with a reader; it stays as it is."""
        ...


@runtime_checkable
class KnowledgeGrounder(Grounder, Protocol):
    """A grounder with knowledge that can be taken away, to see whether the evidence that it cites was used."""

    @property
    def knowledge(self) -> tuple[str, ...]:
        """The texts of all knowledge nodes, those that ``Evidence.knowledge`` can cite; empty without knowledge."""
        ...

    def without_knowledge(self, nodes: Collection[str]) -> Grounder:
        """The same grounder as it answers without the nodes of these texts; it stays as it is itself.

        The other nodes may take their places, as they would in a smaller graph.
        """
        ...
