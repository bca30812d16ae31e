"""Which rows of a release are wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowmvg.core.errors import KnowledgeError

_SAB = re.compile(r"[A-Z0-9][A-Z0-9_.-]{0,39}")
_LAT = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Choice:
    """What an import keeps.

    Args:
        languages: of names and definitions (LAT: ``ENG``, ``SPA``).
        sources: vocabularies (SAB: ``SNOMEDCT_US``, ``FMA``, ``MSH``); empty for all.
        suppressed: whether rows that are suppressed or obsolete are kept.
    """

    languages: tuple[str, ...] = ("ENG",)
    sources: tuple[str, ...] = ()
    suppressed: bool = False

    def __post_init__(self) -> None:
        for name, values, pattern, example in (
            ("languages", self.languages, _LAT, "ENG"),
            ("sources", self.sources, _SAB, "SNOMEDCT_US"),
        ):
            for value in values:
                if pattern.fullmatch(value) is None:
                    raise KnowledgeError(
                        f"{name} as UMLS writes them, such as {example}", repr(value[:40]), "Correct it."
                    )
            object.__setattr__(self, name, tuple(sorted(set(values))))
        if not self.languages:
            raise KnowledgeError("at least one language", "none", "Leave the option out for ENG.")
