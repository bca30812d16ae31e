"""What a check compares and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What may be shared."""

    PATIENT = "patient"
    PATH = "image path"
    BYTES = "image bytes"
    NEAR = "near image"
    TEXT = "report text"
    SENTENCES = "sentences"

    @property
    def severe(self) -> bool:
        """Whether sharing it makes a test invalid; shared words may be chance, or a template."""
        return self not in (Kind.TEXT, Kind.SENTENCES)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one split of a folder."""

    folder: Path
    split: str
    name: str


@dataclass(frozen=True, slots=True)
class Leak:
    """What ``held_out`` shares with ``seen``: ``keys`` distinct patients, images or texts in ``rows`` of ``of`` rows.

    ``rows`` and ``of`` count rows of the held-out part; ``examples`` are the first of them by their ids.
    """

    kind: Kind
    seen: str
    held_out: str
    keys: int
    rows: int
    of: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaks:
    """All leaks that were found, none with ``rows`` of 0, and how many rows each part has.

    ``elsewhere`` counts rows of the folders that are in none of the parts, and were not compared.
    """

    found: tuple[Leak, ...]
    rows: Mapping[str, int]
    elsewhere: int = 0

    @property
    def severe(self) -> tuple[Leak, ...]:
        """Shared patients and images."""
        return tuple(leak for leak in self.found if leak.kind.severe)
