"""Findings that look alike: under which learned finding one that a model never learned may be placed."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.lexicon import load_lexicon

RELATIVES_SCHEMA = "knowmvg.relatives/1"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Relative(_Row):
    """A finding and those that it may be placed as, the nearest first; all are names of the lexicon."""

    finding: str
    placed_as: tuple[str, ...] = Field(min_length=1)
    source: str = Field(min_length=10)

    @model_validator(mode="after")
    def _named(self) -> Relative:
        names = (self.finding, *self.placed_as)
        if unknown := sorted(set(names) - load_lexicon().by_name().keys()):
            raise ValueError(f"expected findings of the lexicon, got {unknown}")
        if len(set(names)) != len(names):
            raise ValueError(f"expected each finding once, got {names}")
        return self


class Relatives(_Row):
    """The table of relatives."""

    schema_: str = Field(alias="schema", pattern=f"^{RELATIVES_SCHEMA}$")
    relatives: tuple[Relative, ...]

    @field_validator("relatives")
    @classmethod
    def _once(cls, rows: tuple[Relative, ...]) -> tuple[Relative, ...]:
        names = [row.finding for row in rows]
        if len(set(names)) != len(names):
            raise ValueError(
                f"expected each finding once, got {sorted({n for n in names if names.count(n) > 1})} twice"
            )
        return rows


def parse_relatives(data: Any) -> dict[str, tuple[str, ...]]:
    """Finding to its relatives, the nearest first. Raises ``KnowledgeError`` for content that breaks the schema."""
    try:
        return {row.finding: row.placed_as for row in Relatives.model_validate(data).relatives}
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise KnowledgeError(
            f"a table of schema {RELATIVES_SCHEMA}", f"{first['msg']} at {place}", "Correct relatives.yaml."
        ) from error


@cache
def load_relatives() -> dict[str, tuple[str, ...]]:
    """The table of the package (knowledge/data/relatives.yaml)."""
    text = files("knowmvg.knowledge").joinpath("data/relatives.yaml").read_text(encoding="utf-8")
    return parse_relatives(yaml.safe_load(text))


def nearest(finding: str, learnt: Collection[str]) -> str | None:
    """The finding itself where it is learnt, else its nearest relative that is; ``None`` where there is neither."""
    return next((name for name in (finding, *load_relatives().get(finding, ())) if name in learnt), None)
