"""The language of reports: section headings, cues of assertion, words of place and modifiers, read from YAML."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Section, Side
from knowmvg.knowledge.patterns import expand

LANGUAGE_SCHEMA = "knowmvg.report-language/1"


class CueKind(StrEnum):
    """What a cue says of the findings that it reaches."""

    ABSENT = "absent"
    RESOLVED = "resolved"
    PRIOR = "prior"
    AGAIN = "again"
    POSSIBLE = "possible"
    HYPOTHETICAL = "hypothetical"
    NEUTRAL = "neutral"
    STOP = "stop"


class Direction(StrEnum):
    """Where the findings of a cue stand: after it (``forward``), before it (``backward``) or on ``both`` sides."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CueRule(_Row):
    """Cues of one kind; ``reach`` counts words, the head of report_language.yaml explains the rest."""

    kind: CueKind
    direction: Direction
    reach: int = Field(ge=0, le=40)
    fresh: bool = False
    closing: bool = False
    patterns: tuple[str, ...] = Field(min_length=1)

    @field_validator("patterns")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            expand(pattern)
        return patterns


class ReportLanguage(_Row):
    """All rules by which reports are read."""

    schema_: str = Field(alias="schema", pattern=f"^{LANGUAGE_SCHEMA}$")
    headings: dict[Section, tuple[str, ...]]
    cues: tuple[CueRule, ...]
    places: dict[Side | Literal["none"], tuple[str, ...]]
    zones: dict[str, tuple[str, ...]]
    affirming: tuple[str, ...]
    links: tuple[str, ...]
    measures: tuple[str, ...]
    carriers: tuple[str, ...]
    anatomy: tuple[str, ...]
    modifiers: tuple[str, ...]
    relating: tuple[str, ...]
    changing: tuple[str, ...]
    shadows: tuple[str, ...]
    of_both_lungs: tuple[str, ...]
    once_a_side: tuple[str, ...]
    with_low_volumes: tuple[str, ...]
    resuming: tuple[str, ...]
    ends: tuple[str, ...]
    positions: tuple[str, ...]
    familiar: tuple[str, ...]


def parse_language(data: Any) -> ReportLanguage:
    """Rules from the content of a YAML file. Raises ``KnowledgeError`` where they do not follow the schema."""
    try:
        return ReportLanguage.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise KnowledgeError(
            f"rules of schema {LANGUAGE_SCHEMA}", f"{first['msg']} at {place}", "Correct report_language.yaml."
        ) from error


@cache
def load_language() -> ReportLanguage:
    """The rules of the package (knowledge/data/report_language.yaml)."""
    text = files("knowmvg.knowledge").joinpath("data/report_language.yaml").read_text(encoding="utf-8")
    return parse_language(yaml.safe_load(text))
