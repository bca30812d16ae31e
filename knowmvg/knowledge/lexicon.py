"""The finding lexicon: canonical names, how reports say them and by which headings an index codes them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.patterns import expand

LEXICON_SCHEMA = "knowmvg.findings/1"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FindingEntry(_Row):
    """One finding; ``patterns`` and ``normal`` are word patterns (``knowledge.patterns``)."""

    name: str = Field(pattern=r"^[a-z][a-z -]*[a-z]$")
    patterns: tuple[str, ...] = Field(min_length=1)
    normal: tuple[str, ...] = ()
    mesh: tuple[str, ...] = ()
    sided: bool
    device: bool = False
    source: str = Field(min_length=10)

    @field_validator("patterns", "normal")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            expand(pattern)
        return patterns


class Lexicon(_Row):
    """All findings, and the phrases that hold a finding's name but are none (``ignore``)."""

    schema_: str = Field(alias="schema", pattern=f"^{LEXICON_SCHEMA}$")
    ignore: tuple[str, ...] = ()
    findings: tuple[FindingEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Lexicon:
        names = [entry.name for entry in self.findings]
        if len(set(names)) != len(names):
            raise ValueError(f"expected each name once, got {sorted({n for n in names if names.count(n) > 1})} twice")
        return self

    def __getitem__(self, name: str) -> FindingEntry:
        """The entry of a canonical name. Raises ``KeyError`` for a name that is not in the lexicon."""
        return self.by_name()[name]

    def by_name(self) -> dict[str, FindingEntry]:
        """Canonical name to entry, in the lexicon's order."""
        return {entry.name: entry for entry in self.findings}

    def by_mesh(self) -> dict[str, str]:
        """MeSH heading to canonical name."""
        return {heading: entry.name for entry in self.findings for heading in entry.mesh}


def parse_lexicon(data: Any) -> Lexicon:
    """A lexicon from the content of a YAML file. Raises ``KnowledgeError`` for one that does not follow the schema."""
    try:
        return Lexicon.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise KnowledgeError(
            f"a lexicon of schema {LEXICON_SCHEMA}", f"{first['msg']} at {place}", "Correct findings.yaml."
        ) from error


@cache
def load_lexicon() -> Lexicon:
    """The lexicon of the package (knowledge/data/findings.yaml)."""
    text = files("knowmvg.knowledge").joinpath("data/findings.yaml").read_text(encoding="utf-8")
    return parse_lexicon(yaml.safe_load(text))
